"""Encoders against simple models of scikit-learn, on the same splits.

MMKERAS_DATA=<folder> python benchmarks/encoders.py [--quick]

The folder holds rt-polarity.tar.xz. `cases/` says how each data set is used. Writes benchmarks/results/encoders.json
after each training, and goes on from there on the same commit; then docs/benchmarks.md.
"""

import argparse
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

from cases import sentences
from cases.page import write_section
from cases.results import PACKAGES, read_runs, write_runs
from first_run import find_commit

HERE = Path(__file__).parent
RESULTS, QUICK_RESULTS = HERE / "results" / "encoders.json", HERE / "work" / "encoders" / "quick.json"
CASES = {case.NAME: case for case in (sentences,)}
SEEDS = (0, 1, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, and one epoch")
    is_quick = parser.parse_args().quick
    commit, path = find_commit(), QUICK_RESULTS if is_quick else RESULTS
    runs = read_runs(path, commit)
    for case in CASES.values():
        for model in (*case.BASELINES, *case.ENCODERS):
            for seed in SEEDS[:1] if is_quick else SEEDS:
                key = {"case": case.NAME, "model": model, "seed": seed}
                if any(key.items() <= run.items() for run in runs):
                    continue
                keras.backend.clear_session()
                keras.utils.set_random_seed(seed)
                started = time.perf_counter()
                score = case.train(model, seed, is_quick)
                runs.append({**key, "score": float(score), "seconds": time.perf_counter() - started})
                print(f"{case.NAME}: {model}, seed {seed}: {score:.2%}", flush=True)
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
        text += f"| model | seeds | {case.METRIC} | range | seconds | |\n|---|---|---|---|---|---|\n"
        for model, group in groups.items():
            scores = [run["score"] for run in group]
            mean, seconds = statistics.fmean(scores), statistics.fmean(run["seconds"] for run in group)
            verdict = ""
            if model == case.BEST:
                verdict = "aim reached" if mean >= case.AIM else "floor reached" if mean >= case.FLOOR else "MISSED"
                verdict += f" (floor {case.FLOOR:.1%}, aim {case.AIM:.1%})"
            name = f"`{model}`" if model in case.ENCODERS else model
            spread = max(scores) - min(scores)
            text += f"| {name} | {len(group)} | {mean:.2%} | {spread:.2%} | {seconds:.0f} | {verdict} |\n"
        text += "\n"
    return text


if __name__ == "__main__":
    main()
