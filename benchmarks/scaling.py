"""Training on several workers: what a step costs, what of it is exchange, and what that says of many machines.

python benchmarks/scaling.py [--quick]

Each job of `cases/scaling.py` runs in processes of its own, each on one core of this machine; workers talk over the
loopback. Writes benchmarks/results/scaling.json after each, and goes on from there on the same commit; then
docs/benchmarks.md, where the figures for more workers than were run are calculated.
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mmkeras as mk
from cases.archives import WORK
from cases.page import write_section
from cases.results import read_runs, write_runs
from first_run import find_commit
from mmkeras.distribute.launch import launch

HERE = Path(__file__).parent
RESULTS, QUICK_RESULTS = HERE / "results" / "scaling.json", HERE / "work" / "scaling" / "quick.json"
JOB_RESULT = HERE / "work" / "scaling" / "job.json"
STEP_OVERHEAD = 0.05
SETS = (("question",), ("image",), ("question", "image"))
SHARE = 64  # rows of a step in each worker
NETWORK_BYTES, NETWORK_LATENCY = 1.25e9, 50e-6  # a second, 10 Gbit/s; seconds of a hop
FLEETS = (1, 2, 8, 64, 512)


def list_jobs(is_quick):
    """What is measured, and by how many workers."""
    rows, epochs = (512, 2) if is_quick else (1280, 4)
    jobs = [({"kind": "steps", "modalities": list(names), "rows": rows, "epochs": epochs}, 1) for names in SETS]
    for workers, size in ((1, SHARE), (2, 2 * SHARE), (1, 2 * SHARE)):
        jobs.append(({"kind": "workers", "batch_size": size, "rows": rows, "epochs": epochs}, workers))
    jobs.append(({"kind": "exchange"}, 2))
    turns = {"turns": 3, "steps": 20} if is_quick else {"turns": 11, "steps": 40}
    return [*jobs, ({"kind": "overhead, mirrored", **turns}, 1), ({"kind": "overhead, workers", **turns}, 2)]


def measure(job, workers):
    """In processes of its own."""
    JOB_RESULT.parent.mkdir(parents=True, exist_ok=True)
    JOB_RESULT.unlink(missing_ok=True)
    job = json.dumps({**job, "out": str(JOB_RESULT)})
    if launch([sys.executable, str(HERE / "cases" / "scaling.py"), job], workers, restarts=0):
        raise SystemExit(f"The job failed: {job}")
    return json.loads(JOB_RESULT.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows, few turns")
    is_quick = parser.parse_args().quick
    commit, path = find_commit(), QUICK_RESULTS if is_quick else RESULTS
    mk.datasets.easy_vqa(WORK / "easy-vqa")
    runs = read_runs(path, commit)
    for job, workers in list_jobs(is_quick):
        key = {"job": job, "workers": workers}
        if not any(key.items() <= run.items() for run in runs):
            runs.append({**key, "found": measure(job, workers)})
            write_runs(path, commit, runs)
            print(runs[-1], flush=True)
    text = format_tables(runs)
    if not is_quick:
        write_section("Scaling", f"`python benchmarks/scaling.py`. {write_runs(path, commit, runs)}\n\n{text}")
    print(text)


def find(runs, kind, workers=None, **options):
    """What a job found."""
    for run in runs:
        if run["job"]["kind"] == kind and workers in (None, run["workers"]) and options.items() <= run["job"].items():
            return run["found"]
    raise LookupError(kind)


class Costs:
    """Seconds of a step, from what was measured: see "Sizing" in docs/scale.md."""

    def __init__(self, runs, names):
        found = find(runs, "steps", modalities=list(names))
        small, large = sorted(int(key.removeprefix("step of ")) for key in found if key.startswith("step of "))
        self.of_a_row = (found[f"step of {large}"] - found[f"step of {small}"]) / (large - small)
        self.of_a_step = found[f"step of {small}"] - small * self.of_a_row
        self.prepare, self.parameters = found["prepare"], found["parameters"]
        exchange = {int(size): seconds for size, seconds in find(runs, "exchange").items()}
        most = max(exchange)
        self.hop = exchange[1] / 2  # two of them between two workers
        self.bytes_a_second = 4 * most / (exchange[most] - exchange[1])

    def exchange(self, workers, collectives, latency=0.0, bytes_a_second=float("inf")):
        """Of all that the workers tell each other in a step, around a ring."""
        hops = 2 * (workers - 1)
        rate = min(self.bytes_a_second, bytes_a_second)
        return collectives * hops * (self.hop + latency) + hops / workers * 4 * self.parameters / rate


def format_tables(runs):
    """What was found, as Markdown."""
    return "\n".join([*format_steps(runs), *format_workers(runs), *format_overheads(runs), *format_fleets(runs)])


def format_steps(runs):
    yield "### One core\n"
    yield "| modalities | parameters | ms of a step, but its rows | ms of a row | ms to prepare a row |"
    yield "|---|---|---|---|---|"
    for names in SETS:
        costs = Costs(runs, names)
        times = (f"{1000 * each:.3f}" for each in (costs.of_a_step, costs.of_a_row, costs.prepare))
        yield f"| {', '.join(names)} | {costs.parameters:,} | {' | '.join(times)} |"


def format_workers(runs):
    yield "\n### Workers on one core each, question and image\n"
    yield "| workers | rows of a step | rows a second | rows in memory | waiting | in exchange | epoch begins |"
    yield "|---|---|---|---|---|---|---|"
    for workers, size in ((1, SHARE), (1, 2 * SHARE), (2, 2 * SHARE)):
        found = find(runs, "workers", workers, batch_size=size)
        prepared, in_memory = found["prepared"]["step"], found["in memory"]["step"]
        share = f"{found['exchange'] / prepared:.0%}" if workers > 1 else ""
        yield (
            f"| {workers} | {size} | {size / prepared:,.0f} | {size / in_memory:,.0f} | {1 - in_memory / prepared:.0%} "
            f"| {share} | {found['in memory']['begin']:.2f} s |"
        )
    found, costs = find(runs, "workers", 2), Costs(runs, SETS[-1])
    yield (
        f"\nA step of two workers: {found['bytes'] / 1e6:.2f} MB sent by each, {found['bytes'] / costs.parameters:.2f} "
        f"bytes for each of the {costs.parameters:,} parameters (4 are the least); {found['collectives']} times they "
        f"wait for each other, {1000 * 2 * costs.hop:.2f} ms each; the all-reduce of the gradients takes "
        f"{1000 * found['exchange']:.1f} ms, at {costs.bytes_a_second / 1e6:.0f} MB a second."
    )
    expected = costs.of_a_step + SHARE * costs.of_a_row + costs.exchange(2, found["collectives"])
    measured = found["in memory"]["step"]
    yield (
        f"The calculation below says {1000 * expected:.1f} ms for this step with its rows in memory; measured: "
        f"{1000 * measured:.1f} ms."
    )


def format_overheads(runs):
    yield "\n### Against a loop by hand around `strategy.run`\n"
    yield "| on | | longer than by hand | |"
    yield "|---|---|---|---|"
    for kind, where in (("mirrored", "2 logical devices"), ("workers", "2 workers")):
        for name, overhead in find(runs, f"overhead, {kind}")["overhead"].items():
            verdict = ("reached" if overhead < STEP_OVERHEAD else "MISSED") if name == "mmkeras" else ""
            yield f"| {where} | {name} | {overhead:+.1%} | {verdict} |"


def format_fleets(runs):
    yield f"\n### Calculated: {SHARE} or {8 * SHARE} rows of a step in each worker, of one core, 10 Gbit/s\n"
    yield "| modalities | rows | workers | rows a second, records | of workers x one | in exchange | rows of a table |"
    yield "|---|---|---|---|---|---|---|"
    collectives = find(runs, "workers", 2)["collectives"]
    for names in SETS:
        costs = Costs(runs, names)
        for share in (SHARE, 8 * SHARE):
            for workers in FLEETS:
                exchange = costs.exchange(workers, collectives, NETWORK_LATENCY, NETWORK_BYTES)
                train = costs.of_a_step + share * costs.of_a_row + exchange
                step, of_table = train + share * costs.prepare, train + workers * share * costs.prepare
                alone = costs.of_a_step + share * (costs.of_a_row + costs.prepare)
                yield (
                    f"| {', '.join(names)} | {share} | {workers} | {workers * share / step:,.0f} | "
                    f"{alone / step:.0%} | {exchange / step:.0%} | {workers * share / of_table:,.0f} |"
                )


if __name__ == "__main__":
    main()
