"""How good a task is on labeled rows, beside what costs nothing and what each modality says alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import tensorflow as tf

_LARGEST = 30  # classes of a confusion table that is printed


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate_rows` returns; print it to read it.

    Attributes:
        rows: how many were measured.
        table: the metrics, a column each, of the model, of the model when it is given one modality alone, and of the
            one best answer for all rows: the most frequent class, the mean number.
        confusions: by column of classes, how many rows of a true class (down) were given each answer (across).
    """

    rows: int
    table: pd.DataFrame
    confusions: Mapping[str, pd.DataFrame]

    def __str__(self):
        text = f"{self.rows:,} rows\n{self.table.to_string(float_format='{:.4f}'.format)}"
        for column, counts in self.confusions.items():
            if len(counts) <= _LARGEST:
                text += f"\n\n{column}: true (down) by answered (across)\n{counts.to_string()}"
        return text


def evaluate(task, dataset: tf.data.Dataset) -> Evaluation:
    """Measures a task on batches of `(tensors, targets)`."""
    names = sorted(task.modalities)
    kinds = {"model": names} | ({f"{name} alone": [name] for name in names} if len(names) > 1 else {})
    outputs, truths = {kind: [] for kind in kinds}, []
    for tensors, truth in dataset:
        for kind, given in kinds.items():
            outputs[kind].append(_predict_with(task, tensors, given))
        truths.append(truth)
    truth = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *truths)
    joined = {kind: _join(parts) for kind, parts in outputs.items()}
    metrics = {kind: task.target.measure_all(given, truth) for kind, given in joined.items()}
    metrics["best constant"] = task.target.measure_all(task.target.answer_constantly(truth), truth)
    return Evaluation(
        rows=len(tf.nest.flatten(truth)[0]),
        table=pd.DataFrame.from_dict(metrics, orient="index"),
        confusions=task.target.count_confusions(joined["model"], truth),
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
    measures = task.target.measure_disagreement(stacked, present)
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
