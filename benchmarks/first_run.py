"""The first run: `mmkeras demo` for several seeds, and whether it reaches what it aims at.

python benchmarks/first_run.py [--quick]

Writes benchmarks/results/first_run.json. A seed that has been run on this commit is not run again.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
# Published: 93.8 % by the data set's author.
TARGETS = {
    "fused accuracy": ("at least", 0.995, lambda run: run["accuracy"]["fused"]),
    "seconds, three trainings": ("at most", 240, lambda run: sum(run["seconds"][name] for name in run["accuracy"])),
    "seconds, whole demo": ("at most", 360, lambda run: run["seconds"]["total"]),
    "peak memory, MiB": ("at most", 4096, lambda run: run["peak_mib"]),
    "artifacts' least agreement": ("at least", 0.995, lambda run: min(a["agreement"] for a in run["artifacts"])),
}


def find_commit() -> str:
    """The commit that runs, with `-changed` where files differ from it, but for those that benchmarks write."""

    def ask(*arguments):
        process = subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True)
        return process.stdout.strip()

    written = (":(top,exclude)benchmarks/results", ":(top,exclude)docs/benchmarks.md")
    changed = ask("status", "--porcelain", "--untracked-files=no", "--", ":(top)", *written)
    return (ask("rev-parse", "--short", "HEAD") or "unknown") + ("-changed" if changed else "")


def run_demo(seed: int, commit: str) -> dict:
    """The results of one seed, from an earlier run of this commit where there is one."""
    folder = HERE / "work" / "first_run" / commit / f"seed-{seed}"
    if not (folder / "results.json").exists() or commit.endswith("-changed"):
        print(f"seed {seed}: running the demo in {folder} ...", flush=True)
        subprocess.run(
            [sys.executable, "-m", "mmkeras", "demo", "--folder", str(folder), "--seed", str(seed)], check=True
        )
    return json.loads((folder / "results.json").read_text())


def summarize(values: list[float]) -> dict:
    return {"mean": statistics.fmean(values), "min": min(values), "max": max(values)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed instead of three")
    quick = parser.parse_args().quick
    commit = find_commit()
    runs = {seed: run_demo(seed, commit) for seed in (SEEDS[:1] if quick else SEEDS)}

    print(f"\n{'test accuracy':<28}" + "".join(f"{f'seed {seed}':>10}" for seed in runs))
    for name in next(iter(runs.values()))["accuracy"]:
        print(f"{name:<28}" + "".join(f"{run['accuracy'][name]:>10.2%}" for run in runs.values()))
    print(f"\n{'':<28}{'target':>16}{'mean':>10}{'min':>10}{'max':>10}")
    targets = {}
    for name, (sense, bound, measure) in TARGETS.items():
        found = summarize([measure(run) for run in runs.values()])
        reached = found["min"] >= bound if sense == "at least" else found["max"] <= bound
        targets[name] = {"sense": sense, "bound": bound, "reached": reached, **found}
        figures = "".join(f"{found[key]:>10.4g}" for key in ("mean", "min", "max"))
        print(f"{name:<28}{f'{sense} {bound:g}':>16}{figures}  {'reached' if reached else 'MISSED'}")

    results = {"commit": commit, "quick": quick, "targets": targets, "runs": runs}
    path = HERE / "results" / "first_run.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"\nWritten to {path}")


if __name__ == "__main__":
    main()
