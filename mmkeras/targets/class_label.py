import json
import math
import re
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from numbers import Integral, Real

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from mmkeras.data.cells import is_nothing, to_plain, to_text
from mmkeras.data.report import Finding
from mmkeras.metrics import fit_labels
from mmkeras.targets.base import Target

_WHOLE_FLOAT = re.compile(r"[+-]?\d+\.0+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_MANY_NUMBERS = 50
_SPANS = 10  # of probability


@keras.saving.register_keras_serializable(package="mmkeras")
class ClassTarget(Target):
    """One of several classes for each row.

    Labels are texts without the spaces around them; blank ones are missing. A number is the text of it, and 0, 0.0 and
    "0.0" are the class "0", because pandas writes integers so beside a missing value. Booleans are the classes "False"
    and "True". Lists are no labels.

    Args:
        column: of the labels.
        classes: the labels in the order of the outputs; None to learn them by `adapt`, which sorts numbers as numbers
            and all others as text.

    Raises:
        ValueError: when `classes` holds fewer than two labels, or one twice.

    Example:

    >>> target = mk.targets.ClassTarget("size")
    >>> target.adapt([10, 2.0, " 2", None])
    >>> target.classes, target.encode(["10", 2]).tolist()
    (['2', '10'], [1, 0])
    """

    output_name = "probabilities"
    answer_names = ("probability",)
    score_name = "accuracy"
    default_loss = "sparse_categorical_crossentropy"
    default_metrics = ("accuracy",)
    has_classes = True

    def __init__(self, column: str = "label", classes: Sequence | None = None):
        self.column = str(column)
        self.columns = [self.column]
        self.classes = None if classes is None else [_to_label(label) or str(label) for label in classes]
        if self.classes is not None:
            self._check_classes()

    def _check_classes(self):
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"`classes` holds at least two labels, each once. Received: classes={self.classes}")

    @property
    def is_adapted(self):
        return self.classes is not None

    @property
    def output_units(self):
        return len(self.classes)

    def adapt(self, cells):
        if lists := [cell for cell in cells if _is_list(cell)]:
            raise ValueError(
                f"A label is one value, and column '{self.column}' holds lists. Write one label in a cell, or give the "
                f"classes if the lists are to be left out. Received: {lists[0]!r}"
            )
        labels = {label for cell in cells if (label := _to_label(cell)) is not None and _is_unicode(label)}
        numeric = bool(labels) and all(_NUMBER.fullmatch(label) for label in labels)
        self.classes = sorted(labels, key=lambda label: (float(label), label) if numeric else label)
        if len(self.classes) < 2:
            raise ValueError(
                f"Classes are learned from column '{self.column}', which holds fewer than two different labels in "
                f"{len(cells):,} rows. Give all classes, or other rows. Received: {self.classes}"
            )
        if numeric and (len(labels) > _MANY_NUMBERS or any("." in label for label in labels)):
            warnings.warn(
                f"Column '{self.column}' holds {len(labels):,} different numbers, {self.classes[0]} to "
                f"{self.classes[-1]}, and each becomes a class without an order. To predict the number: mk.Regressor. "
                f"If they are classes: classes=[...]",
                stacklevel=2,
            )

    def is_missing(self, cell):
        return not _is_list(cell) and _to_label(cell) is None

    def find_problems(self, cells):
        known = None if self.classes is None else set(self.classes)
        return [[finding] if (finding := self._find_problem(cell, known)) else [] for cell in cells]

    def _find_problem(self, cell, known):
        if _is_list(cell):
            return Finding("no label", "a label is one value, and this is a list", "write one label", True)
        label = _to_label(cell)
        if label is None:
            return Finding("no label", "the cell is empty", "label the row", True)
        if not _is_unicode(label):
            return Finding("no label", "it is no Unicode text", "save the table as UTF-8", True)
        if known is None or label in known:
            return None
        near = get_close_matches(label, self.classes, n=1)
        remedy = f"correct it to '{near[0]}'" if near else "correct it, or train on rows that have it"
        return Finding("unknown label", f"the model knows {len(known)} labels, and not this one", remedy, True)

    def encode(self, cells):
        """The index of each label, int32 `(rows,)`."""
        indices = {label: index for index, label in enumerate(self.classes)}
        return np.array([indices[_to_label(cell)] for cell in cells], "int32")

    def activate(self, logits, name):
        return keras.layers.Softmax(name=name, dtype="float32")(logits)

    def prepare_metric(self, metric):
        return fit_labels(metric)

    def decode(self, outputs):
        """The most probable class, a string under the name of the column (`name_answer`), and its `probability`."""
        probabilities = outputs[self.output_name]
        best = tf.argmax(probabilities, axis=1)
        return {
            self.name_answer(self.column): tf.gather(tf.constant(self.classes), best),
            "probability": tf.reduce_max(probabilities, axis=1),
        }

    def describe(self, outputs, decoded=None, top: int | None = None):
        """As that of every target; with `top` also the `probabilities` of so many classes."""
        answers = super().describe(outputs, decoded)
        if top is None:
            return answers
        if not 1 <= top:
            raise ValueError(f"`top` is a number of classes. Received: top={top!r}")
        for answer, probabilities in zip(answers, outputs[self.output_name], strict=True):
            order = np.argsort(-probabilities, kind="stable")[:top]
            answer[self.output_name] = {self.classes[index]: float(probabilities[index]) for index in order}
        return answers

    def same_answer(self, expected, received):
        return expected[self.output_name].argmax(axis=1) == received[self.output_name].argmax(axis=1)

    def measure_disagreement(self, outputs, present):
        """The Jensen-Shannon divergence of the probabilities (Lin, 1991); 1 if each is sure of another class."""
        probabilities, weights = outputs[self.output_name], present[..., np.newaxis]
        count = np.maximum(present.sum(axis=0), 1)
        mean = (probabilities * weights).sum(axis=0) / count[:, np.newaxis]
        own = (_measure_entropy(probabilities) * present).sum(axis=0) / count
        divergence = np.maximum(_measure_entropy(mean) - own, 0) / np.log(np.maximum(count, 2))
        return np.where(count > 1, divergence, 0)  # exactly, where rounding would leave a trace

    def measure(self, outputs, truth):
        return {"accuracy": float(np.mean(outputs[self.output_name].argmax(axis=1) == truth))}

    def measure_all(self, outputs, truth):
        """Accuracy, balanced accuracy, macro F1, log loss, and the area under the ROC curve: of two classes that of the
        second, of more the mean over the classes, each against all others. Classes without a row do not count.
        """
        probabilities = outputs[self.output_name]
        answers, classes = probabilities.argmax(axis=1), np.unique(truth)
        recalls = [np.mean(answers[truth == index] == index) for index in classes]
        f1 = [
            2 * np.sum((answers == index) & (truth == index)) / (np.sum(answers == index) + np.sum(truth == index))
            for index in classes
        ]
        ranked = classes[-1:] if len(self.classes) == 2 else classes
        areas = [_measure_area(probabilities[:, index], truth == index) for index in ranked]
        own = np.take_along_axis(probabilities, truth[:, np.newaxis], axis=1)
        return {
            "accuracy": float(np.mean(answers == truth)),
            "balanced_accuracy": float(np.mean(recalls)),
            "macro_f1": float(np.mean(f1)),
            "log_loss": float(-np.mean(np.log(np.maximum(own, 1e-7)))),
            "auroc": float(np.mean(areas)),
        }

    def answer_constantly(self, truth):
        shares = np.bincount(truth, minlength=len(self.classes)) / len(truth)
        return {self.output_name: np.tile(shares.astype("float32"), (len(truth), 1))}

    def count_confusions(self, outputs, truth):
        counts = np.zeros((len(self.classes), len(self.classes)), int)
        np.add.at(counts, (truth, outputs[self.output_name].argmax(axis=1)), 1)
        return {self.column: pd.DataFrame(counts, self.classes, self.classes)}

    def measure_errors(self, outputs, truth):
        """What the probability of the true class lacks to 1."""
        return 1 - np.take_along_axis(outputs[self.output_name], truth[:, np.newaxis], axis=1)[:, 0]

    def calibrate(self, outputs, truth):
        """Ten spans of probability (Guo et al., "On Calibration of Modern Neural Networks", 2017): of the answers in
        each the mean `probability`, the share that is right, `accuracy`, and how many `rows` they are.
        """
        probabilities = outputs[self.output_name]
        sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
        spans = np.minimum((sure * _SPANS).astype(int), _SPANS - 1)
        table = pd.DataFrame({"span": spans, "probability": sure, "accuracy": right, "rows": 1}).groupby("span")
        return {self.column: table.agg({"probability": "mean", "accuracy": "mean", "rows": "sum"})}

    def score(self, outputs, truth):
        return self.measure(outputs, truth)["accuracy"]

    def assets(self):
        """`labels.json`: the classes as a list, in the order of the probabilities."""
        return {"labels.json": json.dumps(self.classes, ensure_ascii=False) + "\n"}

    def get_config(self):
        return {"column": self.column, "classes": self.classes}


def _is_list(cell):
    return isinstance(to_plain(cell), list | tuple | dict | set)


def _is_unicode(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _to_label(cell) -> str | None:
    """The text of a label; None where there is none."""
    cell = to_plain(cell)
    if is_nothing(cell):
        return None
    if isinstance(cell, bytes):
        cell = to_text(cell)
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell))
    if isinstance(cell, Integral):
        return str(int(cell))
    if isinstance(cell, Real) and float(cell).is_integer():
        return str(int(cell))
    label = str(cell).strip()
    if _WHOLE_FLOAT.fullmatch(label):
        label = str(int(float(label))) if len(label) < 16 else label[: label.index(".")]
    return label or None


def _measure_entropy(probabilities):
    return -(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=-1)


def _measure_area(scores, is_true):
    """The area under the ROC curve: how often a true row is above another; of equals half (Mann and Whitney, 1947)."""
    count = int(is_true.sum())
    if count in (0, len(scores)):
        return math.nan
    ranks = pd.Series(scores).rank().to_numpy()
    return (ranks[is_true].sum() - count * (count + 1) / 2) / (count * (len(scores) - count))
