"""`mk.fit` with nothing but the target, against simple models on the same splits.

MMKERAS_DATA=<folder> python benchmarks/one_call.py [--quick] [--cases sentences sounds ...]

The folder holds what benchmarks/encoders.py and benchmarks/fusion.py need. Each case gets 5 minutes; what stands beside
it is in `cases/tables.py`. Writes benchmarks/results/one_call.json after each case, and goes on from there on the same
commit; reports go to benchmarks/work/one_call; then docs/benchmarks.md.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mmkeras as mk
from cases.page import write_section
from cases.results import PACKAGES, read_runs, write_runs
from cases.tables import CASES
from first_run import find_commit

HERE = Path(__file__).parent
WORK = HERE / "work" / "one_call"
RESULTS, QUICK_RESULTS = HERE / "results" / "one_call.json", WORK / "quick.json"
SECONDS, QUICK_SECONDS = 300, 30


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_SECONDS} s for each case")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=[*CASES], help="only these")
    arguments = parser.parse_args()
    commit, path = find_commit(), QUICK_RESULTS if arguments.quick else RESULTS
    runs = read_runs(path, commit)
    for name in arguments.cases:
        if any(run["case"] == name for run in runs):
            continue
        runs.append({"case": name, **measure(name, QUICK_SECONDS if arguments.quick else SECONDS)})
        facts = write_runs(path, commit, runs, (*PACKAGES, "scikit-learn"))
        if not arguments.quick:
            write_section("One call", f"`python benchmarks/one_call.py`. {facts}\n\n{format_table(runs)}")
    print(format_table(runs))


def measure(name: str, seconds: float) -> dict:
    """What a case gave: the metric on the test, and how long it took."""
    case = CASES[name]
    train, test, target = case.read()
    baseline = case.measure_baseline(train, test)
    started = time.perf_counter()
    model = mk.fit(train, target, time_limit=seconds)
    taken = time.perf_counter() - started
    WORK.mkdir(parents=True, exist_ok=True)
    model.report.write_page(WORK / f"{name}.html")
    trials = model.report.trials
    return {
        "model": trials["model"].iloc[0],
        "metric": case.metric,
        "score": float(model.evaluate_rows(test).table.loc["model", case.metric]),
        "baseline": float(baseline),
        "allowed": case.allowed,
        "validation": float(trials[model.report.metric].iloc[0]),
        "seconds": taken,
        "training": float(trials["seconds"].sum()),
        "sentence": model.report.sentence,
    }


def format_table(runs: list[dict]) -> str:
    """What was found, as Markdown."""
    lines = [
        "| data | metric | baseline | `mk.fit` | | chosen | seconds | not training |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        reached = "reached" if run["score"] >= run["baseline"] - run["allowed"] else "MISSED"
        overhead = run["seconds"] / run["training"] - 1
        lines.append(
            f"| {run['case']} | {run['metric']} | {run['baseline']:.2%} | {run['score']:.2%} | {reached} | "
            f"{run['model']} | {run['seconds']:.0f} | {overhead:.1%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
