"""What `mk.fit` has found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from mmkeras.data import Report
from mmkeras.fitting import page
from mmkeras.fitting.plan import Decision, Plan
from mmkeras.fitting.search import Search
from mmkeras.fitting.trials import Trainer, Trial
from mmkeras.tasks.evaluation import INTERVAL, Evaluation, evaluate, resample

_WORST = 10
_SHOWN = 120  # characters of a cell
_THUMBNAIL = 96  # pixels


@dataclass(frozen=True)
class FitReport:
    """What `mk.fit` has found; print it to read it, or open the page that `write_page` writes.

    All figures are of the validation rows, by which the model was chosen, so that they are a little optimistic:
    `model.evaluate_rows(test)` measures on rows that nothing was chosen by.

    Attributes:
        decisions: what was decided before training, and why.
        doubts: what a person should look at, in words.
        metric: by which models were compared.
        trials: one row a model, the best first: the metric, its 95 % interval (bootstrap over the rows), epochs,
            seconds, parameters, and `why` it was dropped or failed.
        sentence: what fusing brought, or that it did not.
        evaluation: the model on the validation rows, beside each modality alone and the best constant answer.
        worst: the rows whose answers are most wrong: number of the row, cells, truth, answer, and how wrong.
        thumbnails: by column of images those of these rows, as PNG files; None where one is missing.
        calibration: by column of classes how sure the answers are and how many are right; empty for numbers.
        residuals: by column of numbers truth and answer of each row; empty for classes.
        curves: by model the metrics after each epoch, as `fit` gives them.
        problems: what is wrong with the cells.
        rows: how many were trained on, and how many validated on.
        seconds: that all took.
        was_interrupted: whether the search was ended before its time.
    """

    decisions: Sequence[Decision]
    doubts: Sequence[str]
    metric: str
    trials: pd.DataFrame
    sentence: str
    evaluation: Evaluation
    worst: pd.DataFrame
    thumbnails: Mapping[str, Sequence[bytes | None]]
    calibration: Mapping[str, pd.DataFrame]
    residuals: Mapping[str, pd.DataFrame]
    curves: Mapping[str, Mapping[str, list[float]]]
    problems: Report
    rows: tuple[int, int]
    seconds: float
    was_interrupted: bool

    def write_page(self, path: str | Path):
        """Writes everything as one HTML file that needs no network."""
        page.write(self, path)

    def __str__(self):
        formats = {"seconds": "{:.0f}".format, "parameters": "{:,}".format}
        table = self.trials.to_string(index=False, float_format="{:.4f}".format, formatters=formats, na_rep="")
        lines = [table, "", self.sentence]
        lines += ["", f"The best, '{self.trials['model'].iloc[0]}', on the validation rows:", str(self.evaluation)]
        return "\n".join(lines)


def make_report(plan: Plan, trainer: Trainer, search: Search, best: Trial) -> FitReport:
    """The report of a search that is over."""
    model, target = trainer.models[best.name], plan.target
    outputs = trainer.outputs[best.name]
    errors = target.measures.measure_errors(outputs, trainer.truth)
    worst = np.argsort(-errors, kind="stable")[:_WORST]
    return FitReport(
        decisions=plan.decisions,
        doubts=[*plan.doubts, *_doubt_time(search)],
        metric=plan.metric,
        trials=_make_table(trainer, search, best),
        sentence=_compare(trainer, search),
        evaluation=evaluate(model, trainer.make_validation(model)),
        worst=_list_rows(plan, outputs, errors, worst),
        thumbnails=_make_thumbnails(plan, worst),
        calibration=target.measures.calibrate(outputs, trainer.truth),
        residuals=target.measures.list_residuals(outputs, trainer.truth),
        curves={trial.name: trial.history for trial in search.trials if trial.history},
        problems=plan.problems,
        rows=(len(plan.train), len(plan.validation)),
        seconds=search.spent,
        was_interrupted=search.was_interrupted,
    )


def _doubt_time(search):
    """What to say where the time was short."""
    cut = [f"'{trial.name}'" for trial in search.trials if trial.is_cut]
    if not cut:
        return []
    told = f"{', '.join(cut)} saw a part of the training rows once: {search.seconds:g} s are less than an epoch takes."
    return [f"{told} Give more time."]


def _make_table(trainer, search, best):
    rows = []
    for trial in search.trials:
        low, high = _find_interval(trainer, trainer.outputs.get(trial.name))
        rows.append(
            {
                "model": trial.name,
                search.plan.metric: trial.score,
                "low": low,
                "high": high,
                "epochs": trial.epochs,
                "seconds": trial.seconds,
                "parameters": trial.parameters,
                "why": trial.why,
            }
        )
    table = pd.DataFrame(rows)
    gains = [trainer.measure_gain(trial) for trial in search.trials]
    is_trained = [trial.status == "trained" for trial in search.trials]
    is_best = [trial is best for trial in search.trials]
    order = np.lexsort(
        (-np.nan_to_num(np.array(gains), nan=-np.inf), np.logical_not(is_trained), np.logical_not(is_best))
    )
    return table.iloc[order].reset_index(drop=True)


def _find_interval(trainer, outputs):
    if outputs is None:
        return np.nan, np.nan
    values = [trainer.measure(outputs, rows) for rows in resample(len(trainer.plan.validation))]
    return tuple(np.nanquantile(values, INTERVAL)) if np.isfinite(values).any() else (np.nan, np.nan)


def _compare(trainer, search):
    """What fusing brought on the same rows, with the 95 % interval of the difference (paired bootstrap)."""
    trained = search.find_trained()
    fused = search.find_best([trial for trial in trained if trial.fusion])
    alone = search.find_best([trial for trial in trained if not trial.fusion])
    if fused is None or alone is None:
        return (
            "There is one input, so there is nothing to fuse."
            if len(search.plan.variants) < 2
            else "Nothing was fused."
        )
    ours, theirs = (trainer.outputs[trial.name] for trial in (fused, alone))
    gains = [
        trainer.advantage(trainer.measure(ours, rows), trainer.measure(theirs, rows))
        for rows in resample(len(trainer.plan.validation))
    ]
    low, high = np.nanquantile(gains, INTERVAL)
    figures = (
        f"{search.plan.metric} {fused.score:.4f} by '{fused.name}' against {alone.score:.4f} by '{alone.name}', "
        f"{trainer.advantage(fused.score, alone.score):+.4f} (95 % interval {low:+.4f} to {high:+.4f})"
    )
    if low > 0:
        return f"Fusing helped: {figures}."
    if high < 0:
        return f"Fusing harmed: {figures}."
    return f"The gain from fusion is not significant on these {len(trainer.plan.validation):,} rows: {figures}."


def _list_rows(plan, outputs, errors, indices):
    """Rows with what stands in their cells, the truth first, and what was answered."""
    answers = pd.DataFrame(plan.target.describe({name: array[indices] for name, array in outputs.items()}))
    answers.columns = [f"answer: {name}" for name in answers.columns]
    cells = plan.validation.table.iloc[indices].reset_index(drop=True)
    shown = cells.map(lambda cell: _shorten(f"{len(cell)} bytes" if isinstance(cell, bytes) else str(cell)))
    truth = [column for column in shown.columns if column in plan.target.columns]
    shown = shown[[*truth, *(column for column in shown.columns if column not in truth)]]
    shown.insert(0, "row", plan.validation.row_numbers[indices])
    return pd.concat([shown, answers, pd.Series(errors[indices], name="error")], axis=1)


def _make_thumbnails(plan, indices):
    rows, thumbnails = plan.validation.select(indices), {}
    for name, tried in plan.variants.items():
        modality = next(iter(tried.values()))
        if modality.preprocessor.media_type:
            (column,) = modality.source_columns(name)
            shown = [modality.make_thumbnail(cell, _THUMBNAIL) for cell in rows.files(column)]
            if any(shown):
                thumbnails[column] = shown
    return thumbnails


def _shorten(text):
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
