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
            flags = {
                f"{name}_present": tf.logical_and(tensors[f"{name}_present"], name in given) for name in task.modalities
            }
            outputs[kind].append(task.name_outputs(task.predict_on_batch({**tensors, **flags})))
        truths.append(truth)
    truth = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *truths)
    joined = {
        kind: {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        for kind, parts in outputs.items()
    }
    metrics = {kind: task.target.measure_all(given, truth) for kind, given in joined.items()}
    metrics["best constant"] = task.target.measure_all(task.target.answer_constantly(truth), truth)
    return Evaluation(
        rows=len(tf.nest.flatten(truth)[0]),
        table=pd.DataFrame.from_dict(metrics, orient="index"),
        confusions=task.target.count_confusions(joined["model"], truth),
    )
