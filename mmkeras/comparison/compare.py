"""Fusions and single modalities, trained alike on the same rows, and compared."""

import json
import re
import statistics
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from mmkeras import fusion as fusions
from mmkeras.comparison import page
from mmkeras.data import Source
from mmkeras.distribute import enter, get
from mmkeras.files import replacing
from mmkeras.modalities import Modality
from mmkeras.tasks import Classifier, Task

MISSING_RATES = (0.0, 0.25, 0.5, 0.75, 1.0)
_TEST_SHARE = 0.2
_LATENCY_RUNS = 50
_SHOWN_ERROR = 1000  # characters
_FILE = "comparison.json"


@dataclass(frozen=True)
class Comparison:
    """What `mk.compare` found.

    Attributes:
        metric: name of the metric; larger is better.
        runs: one dict a training: `candidate`, `kind` (`"fusion"` or `"modality"`), `seed`, and either `error` or
            `metric`, `parameters`, `seconds` of training, `latency_ms` of one row, and `missing`: for each modality the
            metric when it is missing in 0, 25, 50, 75 and 100 % of the rows.
    """

    missing_rates: ClassVar = MISSING_RATES
    metric: str
    runs: list[dict]

    @property
    def table(self) -> pd.DataFrame:
        """One row a candidate, the best first: means over the seeds, and `spread`, the range of the metric."""
        rows = []
        for name in dict.fromkeys(run["candidate"] for run in self.runs):
            runs = [run for run in self.runs if run["candidate"] == name]
            done = [run for run in runs if "error" not in run]
            row = {"candidate": name, "kind": runs[0]["kind"], "seeds": len(done)}
            if done:
                values = [run["metric"] for run in done]
                row |= {self.metric: statistics.fmean(values), "spread": max(values) - min(values)}
                for key in ("parameters", "seconds", "latency_ms"):
                    row[key] = statistics.fmean(run[key] for run in done)
                for modality in done[0]["missing"]:
                    row[f"without {modality}"] = statistics.fmean(run["missing"][modality][-1] for run in done)
            row["error"] = "; ".join(dict.fromkeys(run["error"] for run in runs if "error" in run))
            rows.append(row)
        table = pd.DataFrame(rows)
        if self.metric not in table:
            return table
        return table.sort_values(self.metric, ascending=False, ignore_index=True, na_position="last")

    @property
    def sentence(self) -> str:
        """Whether fusing helped beyond the spread of the seeds, and which candidate to use."""
        table = self.table
        if self.metric not in table:
            return "No candidate could be trained."
        best = {kind: rows.iloc[0] for kind, rows in table.dropna(subset=[self.metric]).groupby("kind", sort=False)}
        if len(best) < 2:
            return f"Nothing to compare with: only candidates of the kind '{next(iter(best))}' could be trained."
        fused, alone = best["fusion"], best["modality"]
        gain, spread = fused[self.metric] - alone[self.metric], max(fused["spread"], alone["spread"])
        figures = (
            f"{self.metric} {fused[self.metric]:.4f} by '{fused['candidate']}' against {alone[self.metric]:.4f} by "
            f"'{alone['candidate']}' alone, a difference of {gain:+.4f} with a spread of {spread:.4f} over the seeds"
        )
        if gain > spread:
            return f"Fusing helped: {figures}."
        return f"Fusing did not help beyond the spread: {figures}. Use '{alone['candidate']}' alone."

    def plot(self, path: str | Path):
        """Writes a PNG file: the metric of every candidate, and how it falls when modalities are missing."""
        Path(path).write_bytes(page.draw(self))

    def write_page(self, path: str | Path):
        """Writes sentence, table and plot as one HTML file that needs no network."""
        page.write(self, path)

    def __str__(self):
        table = self.table
        lines = [table.drop(columns="error").to_string(index=False, float_format=lambda value: f"{value:.4g}")]
        lines += [f"{row.candidate} failed: {row.error}" for row in table.itertuples() if row.error]
        return "\n".join([*lines, "", self.sentence])


def compare(
    train: Source,
    modalities: Mapping[str, Modality],
    target=None,
    fusions: Sequence | None = None,
    *,
    test: Source | None = None,
    task: type[Task] = Classifier,
    seeds: int = 3,
    epochs: int = 10,
    batch_size: int = 64,
    folder: str | Path | None = None,
    strategy: str | tf.distribute.Strategy | None = None,
    **kwargs,
) -> Comparison:
    """Trains every fusion and every single modality alike, and says what fusing brings.

    Every candidate gets the same rows, epochs and seeds. Rows are prepared once and kept in memory.

    Args:
        train: the training rows.
        modalities: dict from input name to `Modality`.
        target: as for `from_source`.
        fusions: objects from `mk.fusion`, or their names; None for all of them.
        test: rows to measure on; None for a fifth of the training rows, set apart.
        task: `mk.Classifier` or `mk.Regressor`.
        seeds: trainings of each candidate, from seed 0 on.
        epochs, batch_size: of every training.
        folder: where each training is written to (`comparison.json`); one that is there already is not done again. None
            for nowhere.
        strategy: to train on several devices, an object or the name of a kind: see `mk.distribute.strategy`; None for
            the one whose scope is open.
        kwargs: arguments of the task's constructor, the same for all.

    Raises:
        ValueError: for unknown fusions; when the folder holds the trainings of another comparison.

    Example:

    >>> rows = mk.read([{"a": i % 2, "b": i % 3, "label": i % 2} for i in range(60)])
    >>> parts = {"a": mk.Tabular(numbers=["a"]), "b": mk.Tabular(numbers=["b"])}
    >>> found = mk.compare(rows, parts, "label", ["sum"], seeds=1, epochs=1)  # doctest: +ELLIPSIS
    [1/3] ...
    >>> sorted(found.table["candidate"])
    ['a', 'b', 'sum']
    """
    candidates = _list_candidates(modalities, fusions)
    if test is None:
        declared = task.make_target(train.target if target is None else target)
        train, test = train.split(test_size=_TEST_SHARE, stratify=declared.columns[0] if declared.has_classes else None)
    bench = _Bench(train, test, modalities, target, task, epochs, batch_size, kwargs, get(strategy))
    configs = {name: _describe_fusion(fusion) for name, (_, fusion, _) in candidates.items()}
    store = _Store(folder, {"candidates": configs, **bench.settings})
    total, started, trained = len(candidates) * seeds, time.perf_counter(), 0
    for number, (seed, name) in enumerate(((s, n) for s in range(seeds) for n in candidates), 1):
        run = store.find(name, seed)
        if run is None:
            run = {"candidate": name, "seed": seed, **_attempt(bench, candidates[name], seed)}
            trained += 1
            store.add(run)
        left = (time.perf_counter() - started) / max(trained, 1) * (total - number)
        told = run.get("error") or f"{bench.target.measures.score_name} {run['metric']:.4f}, {run['seconds']:.0f} s"
        print(f"[{number}/{total}] {name}, seed {seed}: {told}; about {left / 60:.0f} min left", flush=True)
    return Comparison(bench.target.measures.score_name, store.runs)


def _list_candidates(modalities, chosen) -> dict[str, tuple[str, fusions.Fusion, list[str]]]:
    """By name: the kind, the fusion, and the modalities."""
    known = fusions.list_fusions()
    candidates = {}
    for identifier in known if chosen is None else chosen:
        fusion = fusions.get(identifier)  # raises what is unknown before any work is done
        name = identifier if isinstance(identifier, str) else fusion.name
        if name in candidates:
            raise ValueError(f"Each fusion has a name of its own, by its argument `name`. Received twice: {name!r}")
        candidates[name] = ("fusion", fusion, list(modalities))
    for name in modalities:
        candidates[name if name not in candidates else f"{name} alone"] = ("modality", fusions.get(None), [name])
    return candidates


def _describe_fusion(fusion):
    config = {key: value for key, value in fusion.get_config().items() if key != "name"}  # Keras counts the names up
    return {"class": type(fusion).__name__, **config}


def _attempt(bench, candidate, seed):
    kind, fusion, names = candidate
    try:
        return {"kind": kind, **bench.train(fusion, names, seed)}
    except Exception as error:  # whatever it is, the others are still worth comparing
        told = re.sub(r"\x1b\[\d*m", "", f"{type(error).__name__}: {error}")  # Keras writes in bold
        return {"kind": kind, "error": " ".join(told.split())[:_SHOWN_ERROR]}


class _Bench:
    """The rows, prepared once, and how each candidate is trained and measured on them."""

    def __init__(self, train, test, modalities, target, task, epochs, batch_size, arguments, strategy):
        whole = task.from_source(train, modalities, target, **arguments)
        self.task, self.modalities, self.target = task, whole.modalities, whole.target
        self.epochs, self.arguments, self.strategy = epochs, arguments, strategy
        self.batches = whole.dataset(train, batch_size=batch_size, shuffle=True, cache=True)
        if not whole.has_target(test):
            raise ValueError(f"The rows to measure on have no {list(whole.target.columns)}. Received: test={test.name}")
        tested = list(whole.dataset(test, batch_size=256))
        self.inputs = {key: np.concatenate([x[key] for x, _ in tested]) for key in tested[0][0]}
        self.truth = np.concatenate([y for _, y in tested])
        self.settings = {
            "task": task.__name__,
            "modalities": sorted(modalities),
            "rows": [len(train), len(test)],
            "epochs": epochs,
            "batch_size": batch_size,
            "arguments": {key: repr(value) for key, value in sorted(arguments.items())},
            "truth": zlib.crc32(self.truth.tobytes()),
        }

    def train(self, fusion, names, seed) -> dict:
        keras.utils.set_random_seed(seed)
        chosen = {name: self.modalities[name] for name in names}
        copy = type(fusion).from_config(fusion.get_config())  # a layer belongs to one model
        with enter(self.strategy):
            model = self.task(chosen, target=self.target, fusion=copy, **self.arguments)
            model.compile_default()
        keys = set(model.input)
        batches = self.batches.map(lambda x, y: ({key: x[key] for key in keys}, y))
        started = time.perf_counter()
        model.fit(batches, epochs=self.epochs, verbose=0)
        seconds = time.perf_counter() - started
        whole = self.score(model)
        return {
            "metric": whole,
            "parameters": model.count_params(),
            "seconds": seconds,
            "latency_ms": self.measure_latency(model),
            "missing": {
                name: [self.score(model, name, rate) if rate else whole for rate in MISSING_RATES] for name in names
            },
        }

    def score(self, model, missing: str | None = None, rate: float = 0.0) -> float:
        """The score of the test rows, of which a share lacks a modality: the same rows for all."""
        inputs = {key: self.inputs[key] for key in model.input}
        if missing is not None:
            order = np.random.default_rng(0).permutation(len(self.truth))
            kept = np.ones(len(self.truth), bool)
            kept[order[: round(rate * len(order))]] = False
            inputs[f"{missing}_present"] = inputs[f"{missing}_present"] & kept
        outputs = model.name_outputs(model.predict(inputs, batch_size=256, verbose=0))
        return self.target.measures.score(outputs, self.truth)

    def measure_latency(self, model) -> float:
        """Milliseconds of one row, the median of several."""
        row = {key: tf.constant(self.inputs[key][:1]) for key in model.input}
        answer = tf.function(lambda tensors: model(tensors, training=False), autograph=False)
        answer(row)
        seconds = []
        for _ in range(_LATENCY_RUNS):
            started = time.perf_counter()
            answer(row)
            seconds.append(time.perf_counter() - started)
        return 1000 * statistics.median(seconds)


class _Store:
    """The trainings so far, in a file where there is a folder."""

    def __init__(self, folder, settings):
        self.path = None if folder is None else Path(folder) / _FILE
        self.settings, self.runs = json.loads(json.dumps(settings)), []  # as the file will hold them
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            held = json.loads(self.path.read_text(encoding="utf-8"))
            differing = sorted(key for key, value in self.settings.items() if held["settings"].get(key) != value)
            if differing:
                raise ValueError(
                    f"{self.path} holds the trainings of another comparison: it has another {', '.join(differing)}. "
                    f"Give another folder, or remove the file. Received: { {key: settings[key] for key in differing} }"
                )
            self.runs = held["runs"]

    def find(self, candidate, seed):
        return next((run for run in self.runs if (run["candidate"], run["seed"]) == (candidate, seed)), None)

    def add(self, run):
        self.runs.append(run)
        if self.path is not None:
            held = {"settings": self.settings, "runs": self.runs}
            with replacing(self.path) as scratch:
                scratch.write_text(json.dumps(held, indent=1), encoding="utf-8")
