"""How good a task is on labeled rows, beside what costs nothing and what each modality says alone."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf

_LARGEST = 30  # classes of a confusion table that is printed
_RESAMPLES = 200
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate_rows` returns; print it to read it.

    Attributes:
        rows: how many were measured.
        table: the metrics, a column each, of the model, of the model when it is given one modality alone (and, of more
            than two, all but one), and of the one best answer for all rows: the most frequent class, the mean number.
        low, high: tables of the same form: the 95 % interval of each metric, by measuring as many rows, drawn with
            replacement, again and again (the percentile bootstrap of Efron and Tibshirani, "An Introduction to the
            Bootstrap", 1993). Models whose intervals lie apart differ; other training runs are not accounted for.
        confusions: by column of classes, how many rows of a true class (down) were given each answer (across).
    """

    rows: int
    table: pd.DataFrame
    low: pd.DataFrame
    high: pd.DataFrame
    confusions: Mapping[str, pd.DataFrame]

    def __str__(self):
        text = f"{self.rows:,} rows\n{self.table.to_string(float_format='{:.4f}'.format)}"
        intervals = zip(self.table.columns, self.low.loc["model"], self.high.loc["model"], strict=True)
        text += "\n95 % intervals of the model: "
        text += ", ".join(f"{metric} {low:.4f} to {high:.4f}" for metric, low, high in intervals)
        for column, counts in self.confusions.items():
            if len(counts) <= _LARGEST:
                text += f"\n\n{column}: true (down) by answered (across)\n{counts.to_string()}"
        return text


def evaluate(task, dataset: tf.data.Dataset) -> Evaluation:
    """Measures a task on batches of `(tensors, targets)`."""
    names, measures = sorted(task.modalities), task.target.measures
    kinds = {"model": names} | ({f"{name} alone": [name] for name in names} if len(names) > 1 else {})
    if len(names) > 2:
        kinds |= {f"without {name}": [other for other in names if other != name] for name in names}
    outputs, truths = {kind: [] for kind in kinds}, []
    for tensors, truth in dataset:
        for kind, given in kinds.items():
            outputs[kind].append(_predict_with(task, tensors, given))
        truths.append(truth)
    truth = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *truths)
    joined = {kind: _join(parts) for kind, parts in outputs.items()}
    joined["best constant"] = measures.answer_constantly(truth)
    rows = len(tf.nest.flatten(truth)[0])
    table = _measure(measures, joined, truth, np.arange(rows))
    resampled = pd.concat([_measure(measures, joined, truth, drawn) for drawn in resample(rows)]).groupby(level=0)
    low, high = (resampled.quantile(level).reindex_like(table) for level in INTERVAL)
    return Evaluation(rows, table, low, high, measures.count_confusions(joined["model"], truth))


def resample(rows: int) -> Iterator[np.ndarray]:
    """As many rows, drawn with replacement, again and again: the same ones each time it is asked."""
    random = np.random.default_rng(0)
    for _ in range(_RESAMPLES):
        yield random.integers(rows, size=rows)


def _measure(measures, outputs, truth, places):
    """The metrics, a column each, of each of the outputs on the rows at these places."""
    outputs, truth = tf.nest.map_structure(lambda array: array[places], (outputs, truth))
    return pd.DataFrame.from_dict(
        {kind: measures.measure_all(given, truth) for kind, given in outputs.items()}, orient="index"
    )


def find_disagreement(task, dataset: tf.data.Dataset) -> list[dict]:
    """What `disagreement` returns, for batches of tensors."""
    names = sorted(task.modalities)
    outputs, present = {name: [] for name in names}, []
    for tensors in dataset:
        for name in names:
            outputs[name].append(_predict_with(task, tensors, [name]))
        present.append(np.stack([tensors[f"{name}_present"] for name in names]))
    alone, present = {name: _join(parts) for name, parts in outputs.items()}, np.concatenate(present, axis=1)
    stacked = {key: np.stack([alone[name][key] for name in names]) for key in alone[names[0]]}
    measures = task.target.measures.measure_disagreement(stacked, present)
    answers = {name: task.target.describe(given) for name, given in alone.items()}
    return [
        {
            "index": int(index),
            "disagreement": float(measures[index]),
            "answers": {name: answers[name][index] for place, name in enumerate(names) if present[place, index]},
        }
        for index in np.argsort(-measures, kind="stable")
    ]


def _predict_with(task, tensors, given):
    """The outputs by name when all modalities but the given ones are missing."""
    present = {f"{name}_present": tensors[f"{name}_present"] & (name in given) for name in task.modalities}
    return task.name_outputs(task.predict_on_batch({**tensors, **present}))


def _join(parts):
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
