"""Fusions compared on real data: scores, what is lost without a modality, and what a useless one costs.

MMKERAS_DATA=<folder> python benchmarks/fusion.py [--quick]

The folder holds fsdd.tar.xz (3,000 recordings of six speakers who say a digit, CC BY-SA 4.0), mnist-npz.tar.xz and
online-shoppers.tar.xz (12,330 visits, CC BY 4.0); easy-VQA comes from its package, its spoken questions from espeak-ng.
`cases/` says how each is used. Writes benchmarks/results/fusion.json after each training, and goes on from there on the
same commit; then docs/benchmarks.md. A full run takes about an hour on two cores.
"""

import argparse
import os
import statistics
import time
from dataclasses import asdict, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras

import mmkeras as mk
from cases import Run, digits, shop, vqa
from cases.page import write_section
from cases.results import read_runs, write_runs
from first_run import find_commit

HERE = Path(__file__).parent
RESULTS, QUICK_RESULTS = HERE / "results" / "fusion.json", HERE / "work" / "fusion" / "quick.json"
DEFAULT = "gated"
MODEL = "cross_attention"  # of easy-VQA
DIGITS, SHOP = "digits, 0 dB", "shop visits"
BOTH, VISIT, ASKED = ("sound", "image"), ("behavior", "profile"), ("question", "image")
SPEECH = ("question", "spoken", "image")
# Training, epochs, and epochs of --quick.
CASES = {
    DIGITS: (digits.train, 12, 3),
    "digits, -10 dB": (digits.train, 12, 3),
    "digits, speaker held out": (digits.train, 12, 3),
    SHOP: (shop.train, 20, 3),
    vqa.TYPED: (vqa.train, 12, 1),
    vqa.SPOKEN: (vqa.train, 10, 1),
}


def plan(is_quick: bool) -> list[Run]:
    """What is trained first, in order."""
    noisy = Run(DIGITS, DEFAULT, BOTH, noise="image")
    if is_quick:
        alone = [Run(DIGITS, DEFAULT, (name,)) for name in BOTH]
        return [*alone, Run(DIGITS, DEFAULT, BOTH), noisy, Run(SHOP, "auto", VISIT), Run(vqa.TYPED, DEFAULT, ASKED)]
    settings = [case for case in CASES if case.startswith("digits")]
    runs = [Run(vqa.TYPED, fusion, ASKED) for fusion in (DEFAULT, MODEL)]
    runs += [Run(vqa.TYPED, DEFAULT, (*ASKED, "noise")), Run(vqa.SPOKEN, DEFAULT, SPEECH)]
    for seed in range(3):
        runs += [Run(SHOP, DEFAULT, (name,), seed) for name in VISIT]
        runs += [Run(SHOP, fusion, VISIT, seed) for fusion in ("auto", DEFAULT)]
        runs.append(Run(SHOP, DEFAULT, (*VISIT, "noise"), seed))
    runs += [Run(case, DEFAULT, (name,)) for case in settings for name in BOTH]
    return runs + [Run(DIGITS, fusion, BOTH) for fusion in mk.fusion.list_fusions()]


def plan_all(results: dict[Run, dict]) -> list[Run]:
    """What is trained in a full run, as far as the results tell."""
    first = plan(is_quick=False)
    return first + plan_further(results) if set(first) <= set(results) else first


def plan_further(results: dict[Run, dict]) -> list[Run]:
    """More trainings of the two best fusions of the digits and of the default."""
    scores = {fusion: results[Run(DIGITS, fusion, BOTH)]["score"] for fusion in mk.fusion.list_fusions()}
    best = list(dict.fromkeys([*sorted(scores, key=scores.get, reverse=True)[:2], DEFAULT]))
    runs = [Run(DIGITS, fusion, BOTH, seed) for seed in (1, 2) for fusion in best]
    runs += [Run(DIGITS, DEFAULT, (name,), seed) for seed in (1, 2) for name in BOTH]
    runs += [Run(case, fusion, BOTH) for case in list(CASES)[1:3] for fusion in best]
    return [*runs, Run(DIGITS, DEFAULT, BOTH, noise="image")]


def train(run: Run, is_quick: bool) -> dict:
    function, epochs, quick_epochs = CASES[run.case]
    keras.backend.clear_session()
    keras.utils.set_random_seed(run.seed)
    started = time.perf_counter()
    figures = function(run, quick_epochs if is_quick else epochs)
    return {**figures, "seconds": time.perf_counter() - started}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="six trainings of few epochs")
    is_quick = parser.parse_args().quick
    commit = find_commit()
    path = QUICK_RESULTS if is_quick else RESULTS
    results = {_read(entry["run"]): entry["figures"] for entry in read_runs(path, commit)}

    def train_all(runs):
        for run in runs:
            if run in results:
                continue
            results[run] = train(run, is_quick)
            figures = {name: round(value, 4) for name, value in results[run].items()}
            print(describe(run), figures, flush=True)
            entries = [{"run": asdict(run), "figures": figures} for run, figures in results.items()]
            facts = write_runs(path, commit, entries)
            if not is_quick:
                write_page(facts, results)

    train_all(plan(is_quick))
    if not is_quick:
        train_all(plan_further(results))
    scores = Scores(results)
    print(format_tables(scores))
    if not is_quick:
        print(format_targets(scores))


def write_page(facts: str, results: dict[Run, dict]):
    """The section of docs/benchmarks.md, of what was trained so far."""
    head = f"`python benchmarks/fusion.py`. {facts} "
    missing = len([run for run in plan_all(results) if run not in results])
    head += f"{len(results)} trainings" + (f"; {missing} or more are still to be made.\n\n" if missing else ".\n\n")
    scores = Scores(results)
    write_section("Fusion", head + format_targets(scores) + "\n" + format_tables(scores))


def _read(fields):
    return Run(**{**fields, "modalities": tuple(fields["modalities"])})


def describe(run):
    extras = [f"seed {run.seed}", *(f"{key}={value}" for key, value in run.arguments.items())]
    extras += [f"noise as {run.noise}"] if run.noise else []
    return f"{run.case}: {run.fusion} of {'+'.join(run.modalities)}, {', '.join(extras)}"


class Scores:
    """The figures of trainings that differ in their seed alone."""

    def __init__(self, results: dict[Run, dict]):
        self.groups = {}
        for run, figures in results.items():
            key = replace(run, seed=0)
            self.groups.setdefault(key, []).append(figures)

    def find(self, case, modalities):
        """Those of a case with these modalities, without noise and further arguments."""
        return [run for run in self.groups if run == Run(case, run.fusion, modalities)]

    def mean(self, run, key="score"):
        return statistics.fmean(figures[key] for figures in self.groups[run])

    def spread(self, run):
        values = [figures["score"] for figures in self.groups[run]]
        return max(values) - min(values)


def format_tables(scores: Scores) -> str:
    """What was found, as Markdown, a table a case."""
    text = ""
    for case in dict.fromkeys(run.case for run in scores.groups):
        runs = sorted((run for run in scores.groups if run.case == case), key=lambda run: -scores.mean(run))
        # What the rows lack, by the modalities of the largest model.
        lacking = list(dict.fromkeys(key for run in runs for key in scores.groups[run][0] if key.startswith("without")))
        metric = "auROC" if case == SHOP else "accuracy"
        text += f"### {case[0].upper()}{case[1:]}\n\n| modalities | fusion | seeds | {metric} | range |"
        text += "".join(f" {key} |" for key in lacking) + " seconds |\n" + "|---" * (6 + len(lacking)) + "|\n"
        for run in runs:
            seeds = scores.groups[run]
            modalities = ", ".join(name + (" (noise)" if run.noise == name else "") for name in run.modalities)
            extras = "".join(f", {key}={value}" for key, value in run.arguments.items())
            fusion = f"`{run.fusion}`{extras}" if len(run.modalities) > 1 else ""
            text += f"| {modalities} | {fusion} | {len(seeds)} | {scores.mean(run):.2%} | {scores.spread(run):.2%} |"
            for key in lacking:
                text += f" {scores.mean(run, key):.2%} |" if key in seeds[0] else " |"
            text += f" {scores.mean(run, 'seconds'):.0f} |\n"
        text += "\n"
    return text


def format_targets(scores: Scores) -> str:
    """Whether each target is reached, as Markdown."""
    text = "| target | wanted | found | |\n|---|---|---|---|\n"
    for name, wanted, found in find_targets(scores):
        text += f"| {name} | {wanted:.2%} | {found:.2%} | {'reached' if found >= wanted else 'MISSED'} |\n"
    return text


def find_targets(scores: Scores):
    """Of what was trained: name, least figure wanted, and figure found."""
    for case, bound in {DIGITS: 0.95, "digits, -10 dB": 0.92, "digits, speaker held out": 0.93}.items():
        sound, image, default = (Run(case, DEFAULT, names) for names in (*((name,) for name in BOTH), BOTH))
        if not {sound, image, default} <= set(scores.groups):
            continue
        best = max(scores.find(case, BOTH), key=scores.mean)
        better = max(scores.mean(sound), scores.mean(image))
        yield f"{case}: the best fusion, `{best.fusion}`", bound, scores.mean(best)
        yield f"{case}: `{DEFAULT}` against the better modality alone", better, scores.mean(default)
        for alone, lost in ((sound, "image"), (image, "sound")):
            name = f"{case}: `{DEFAULT}` without {lost} against {alone.modalities[0]} alone - 3 points"
            yield name, scores.mean(alone) - 0.03, scores.mean(default, f"without {lost}")
    auto, alone = Run(SHOP, "auto", VISIT), [Run(SHOP, DEFAULT, (name,)) for name in VISIT]
    if {auto, *alone} <= set(scores.groups):
        better = max(alone, key=scores.mean)
        name = f"{SHOP}: `auto` against {better.modalities[0]} alone - the range of its seeds"
        yield name, scores.mean(better) - scores.spread(better), scores.mean(auto)
    for level in ("feature", "model"):
        fusions = [run for run in scores.find(vqa.TYPED, ASKED) if _find_level(run.fusion) == level]
        if fusions:
            best = max(fusions, key=scores.mean)
            yield f"{vqa.TYPED}: the best of the {level} level, `{best.fusion}`", 0.997, scores.mean(best)
    for run in scores.find(vqa.SPOKEN, SPEECH):
        yield f"{vqa.SPOKEN}: typed, `{run.fusion}`", 0.995, scores.mean(run, "without spoken")
        yield f"{vqa.SPOKEN}: spoken by unheard voices, `{run.fusion}`", 0.97, scores.mean(run, "without question")
    for useless, plain in {
        Run(DIGITS, DEFAULT, BOTH, noise="image"): Run(DIGITS, DEFAULT, ("sound",)),
        Run(SHOP, DEFAULT, (*VISIT, "noise")): Run(SHOP, DEFAULT, VISIT),
        Run(vqa.TYPED, DEFAULT, (*ASKED, "noise")): Run(vqa.TYPED, DEFAULT, ASKED),
    }.items():
        if {useless, plain} <= set(scores.groups):
            name = f"{plain.case}: `{DEFAULT}` with a useless modality against without - 1 point"
            yield name, scores.mean(plain) - 0.01, scores.mean(useless)


def _find_level(fusion):
    return mk.fusion.list_fusions()[fusion].__module__.split(".")[2]


if __name__ == "__main__":
    main()
