"""`mk.fit`: from a table to a trained model, and what was found on the way."""

import os
import sys
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from mmkeras._quiet import several_models
from mmkeras.data import Source, read
from mmkeras.distribute import enter, get, require_one_clock
from mmkeras.fitting.plan import Plan, make_plan
from mmkeras.fitting.report import make_report
from mmkeras.fitting.run_file import write_run
from mmkeras.fitting.search import Search
from mmkeras.fitting.store import Store
from mmkeras.fitting.trials import Trainer
from mmkeras.fusion import Fusion
from mmkeras.modalities import Modality
from mmkeras.targets import Target
from mmkeras.tasks import Task

_MEMORY_SHARE = 0.25  # that prepared cells may take
_MODEL, _PAGE, _RUN = "model.keras", "report.html", "run.yaml"


def fit(
    source,
    target: str | Sequence[str] | Target | None = None,
    modalities: Mapping[str, Modality | Sequence[Modality]] | None = None,
    *,
    validation: Source | None = None,
    ignore: Sequence[str] = (),
    group: str | None = None,
    fusions: Sequence[str | Fusion] | None = None,
    metric: str | None = None,
    time_limit: float = 600.0,
    seed: int = 0,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    allow_outside: bool = False,
    strategy: str | tf.distribute.Strategy | None = None,
) -> Task:
    """A trained task from a table: decides what nobody said, trains within the time, and reports what it found.

    It says what the columns hold and what is predicted, and why; leaves out rows that cannot be used, by name; sets
    rows apart to choose by; trains each input alone, with one or two encoders, and fusions of the best of them; and
    returns the model with the best metric, with the weights of its best epoch. Nothing is trained again on all rows.
    Any of it can be said by an argument instead.

    Args:
        source: the training rows: a `Source`, or what `mk.read` takes.
        target: the column to predict, several of them, or an object from `mk.targets`; None for that of the source.
        modalities: dict from input name to `Modality`, or to a list of them, of which the best is chosen; None for what
            the columns seem to hold (`mk.propose`), each with the encoders that are tried by default.
        validation: rows to choose by; None for a tenth to a fifth of the rows, of each class alike, or without a group
            in both parts.
        ignore: columns that are not read, such as what is known only afterwards.
        group: a column, such as `"user"`; rows with the same go into the same part. None for files that come back, and
            for columns that are called user, speaker, patient and the like.
        fusions: objects from `mk.fusion`, or their names, to try; None for `"gated"`, `"mean_logits"` and
            `"cross_attention"`, as many as there is time for.
        metric: by which models are compared: `"accuracy"`, `"auroc"`, `"macro_f1"`, `"r2_score"` and others that
            `evaluate_rows` tells; None for accuracy, the area under the ROC curve where one of two classes is rare,
            or R2.
        time_limit: seconds, in all. At least one epoch of each model is trained, or a part of it.
        seed: of the parts, the weights and the order of the rows.
        folder: for `report.html`, `model.keras`, `run.yaml`, by which `mmkeras fit` does the same again, and what is
            needed to go on after an interruption; None for nowhere.
        resume: a folder that an interrupted call wrote to, with the same other arguments; goes on there. One that is
            not there yet is begun.
        allow_outside: whether a table may name files outside of its folder.
        strategy: to train on several devices, an object or the name of a kind: see `mk.distribute.strategy`; None for
            the one whose scope is open.

    Returns: a compiled `Classifier`, `Regressor` or `MultiTask`, whose `report` is a `FitReport`. An interruption
        (Ctrl-C) ends training, and the best model so far is returned.

    Raises:
        ValueError: for columns that are not there, fewer than 20 usable rows, a target that cannot be learned.
        RuntimeError: when no model could be trained, with the reason of each.

    Example:

    >>> rows = [{"text": f"{word} {i % 7} tea", "label": word} for i, word in enumerate(["red", "blue"] * 40)]
    >>> model = mk.fit(rows, "label", time_limit=20)  # doctest: +ELLIPSIS
    rows: 80 rows...
    >>> model.report.metric, type(model).__name__
    ('accuracy', 'Classifier')
    """
    started = time.perf_counter()
    if not time_limit > 0:
        raise ValueError(f"`time_limit` is a number of seconds. Received: time_limit={time_limit}")
    strategy = get(strategy)
    require_one_clock(strategy, "mk.fit")
    if folder is not None and resume is not None and Path(folder) != Path(resume):
        raise ValueError(f"`resume` is the folder that is written to. Received: folder={folder!r}, resume={resume!r}")
    arguments = {"source": source if isinstance(source, str | Path) else None, "target": target}
    if not isinstance(source, Source):
        name = target if isinstance(target, str) else None
        source = read(source, target=name, allow_outside=allow_outside)
    print(f"{source.name}: {len(source):,} rows, {len(source.table.columns)} columns", flush=True)
    plan = make_plan(source, target, modalities, validation, ignore, group, fusions, metric, time_limit, seed)
    print(f"{plan}\n", flush=True)

    place = resume if folder is None else folder
    store = Store(None if place is None else Path(place), _describe(plan, seed), resume is not None)
    if store.folder is not None:
        arguments |= {
            "modalities": plan.declared,
            "ignore": list(ignore) or None,
            "group": group,
            "fusions": fusions,
            "metric": plan.metric,
            "time_limit": time_limit,
            "seed": seed,
        }
        write_run(store.folder / _RUN, arguments)
    trainer = Trainer(plan, seed, _fits_into_memory(plan), strategy)
    search = Search(trainer, store, time_limit, store.spent + time.perf_counter() - started)
    with several_models():
        search.run()
        for trial in search.find_trained():
            if trial.name not in trainer.models:
                with enter(strategy):
                    trainer.settle(trial, store.load(trial))
        best = search.find_best(search.find_trained())
        model = trainer.models[best.name]
        model.report = make_report(plan, trainer, search, best)
    print(f"\n{model.report}", flush=True)
    if store.folder is not None:
        model.save(store.folder / _MODEL)
        model.report.write_page(store.folder / _PAGE)
        print(f"\nWritten to {store.folder}: {_MODEL}, {_PAGE}, {_RUN}", flush=True)
    return model


def _describe(plan: Plan, seed: int) -> dict:
    """What makes it the same search."""
    cells = plan.train.table.iloc[:: max(1, len(plan.train) // 100)].to_csv()
    return {
        "source": [
            plan.train.name,
            len(plan.train),
            len(plan.validation),
            zlib.crc32(cells.encode("utf-8", "replace")),
        ],
        "target": str(plan.target.get_config()),
        "inputs": {name: list(tried) for name, tried in plan.variants.items()},
        "fusions": list(plan.fusions),
        "metric": plan.metric,
        "seed": seed,
    }


def _fits_into_memory(plan: Plan) -> bool:
    """Whether the prepared cells may be kept: each distinct one once."""
    count = 0
    for name, tried in plan.variants.items():
        for modality in tried.values():
            specs = modality.preprocessor.tensor_specs().values()
            row = sum(int(np.prod(spec.shape)) * spec.dtype.size for spec in specs)
            distinct = len({*modality.read(name, plan.train)}) + len({*modality.read(name, plan.validation)})
            count += row * distinct
    return count < _MEMORY_SHARE * _measure_memory()


def _measure_memory() -> int:
    """Bytes of memory of this machine; where that is not told, 4 GiB."""
    if sys.platform == "win32":
        return 4 << 30
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
