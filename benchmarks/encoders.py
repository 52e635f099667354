"""Encoders against simple models of scikit-learn, on the same splits.

MMKERAS_DATA=<folder> python benchmarks/encoders.py [--quick] [--cases sounds sentences ...]

The folder holds rt-polarity.tar.xz, esc10-16k.tar.xz, mnist-npz.tar.xz, online-shoppers.tar.xz and
grid-s1-mouth.tar.xz. `cases/` says how each data set is used. Writes benchmarks/results/encoders.json
after each training, and goes on from there on the same commit; then docs/benchmarks.md.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from cases import handwriting, questions, sentences, sounds, spoken_sentences, visits
from cases.page import write_section
from cases.results import PACKAGES, read_runs, write_runs
from first_run import find_commit

HERE = Path(__file__).parent
RESULTS, QUICK_RESULTS = HERE / "results" / "encoders.json", HERE / "work" / "encoders" / "quick.json"
# Each has a NAME, METRICS, BASELINES and MODELS, SEEDS, TARGETS (floor and aim by model and metric), and `train`.
CASES = {
    case.__name__.removeprefix("cases."): case
    for case in (sounds, spoken_sentences, sentences, visits, handwriting, questions)
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, and one epoch")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*CASES], help="only these")
    arguments = parser.parse_args()
    is_quick = arguments.quick
    commit, path = find_commit(), QUICK_RESULTS if is_quick else RESULTS
    runs = read_runs(path, commit)
    for case in map(CASES.get, arguments.cases):
        for model in (*case.BASELINES, *case.MODELS):
            for seed in case.SEEDS[:1] if is_quick else case.SEEDS:
                key = {"case": case.NAME, "model": model, "seed": seed}
                if any(key.items() <= run.items() for run in runs):
                    continue
                keras.backend.clear_session()
                keras.utils.set_random_seed(seed)
                started = time.perf_counter()
                scores = {metric: float(value) for metric, value in case.train(model, seed, is_quick).items()}
                runs.append({**key, "scores": scores, "seconds": time.perf_counter() - started})
                print(f"{case.NAME}: {model}, seed {seed}: {scores}", flush=True)
                facts = write_runs(path, commit, runs, (*PACKAGES, "scikit-learn"))
                if not is_quick:
                    write_section("Encoders", f"`python benchmarks/encoders.py`. {facts}\n\n{format_tables(runs)}")
    print(format_tables(runs))


def format_tables(runs: list[dict]) -> str:
    """What was found, as Markdown, a table a case."""
    text = ""
    for case in CASES.values():
        groups = {}
        for run in runs:
            if run["case"] == case.NAME:
                groups.setdefault(run["model"], []).append(run)
        if not groups:
            continue
        text += f"### {case.NAME[0].upper()}{case.NAME[1:]}\n\n"
        text += "| model | seeds |" + "".join(f" {metric} | range | |" for metric in case.METRICS) + " seconds |\n"
        text += "|---" * (3 + 3 * len(case.METRICS)) + "|\n"
        for model, group in groups.items():
            text += f"| {model if model in case.BASELINES else f'`{model}`'} | {len(group)} |"
            for metric in case.METRICS:
                scores = [run["scores"][metric] for run in group]
                verdict = judge(statistics.fmean(scores), case.TARGETS.get((model, metric)))
                text += f" {statistics.fmean(scores):.2%} | {max(scores) - min(scores):.2%} | {verdict} |"
            text += f" {statistics.fmean(run['seconds'] for run in group):.0f} |\n"
        text += "\n"
    return text


def judge(score: float, target: tuple[float, float] | None) -> str:
    """Whether floor and aim are reached; nothing without a target."""
    if target is None:
        return ""
    floor, aim = target
    verdict = "aim reached" if score >= aim else "floor reached" if score >= floor else "MISSED"
    return f"{verdict} (floor {floor:.1%}, aim {aim:.1%})"


if __name__ == "__main__":
    main()
