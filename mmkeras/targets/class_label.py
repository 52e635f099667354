import json
import re
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from numbers import Integral, Real

import keras
import numpy as np
import tensorflow as tf

from mmkeras.data.cells import is_nothing, to_plain, to_text
from mmkeras.data.report import Finding
from mmkeras.metrics import fit_labels
from mmkeras.targets.base import Target
from mmkeras.targets.measures.classes import ClassMeasures

_WHOLE_FLOAT = re.compile(r"[+-]?\d+\.0+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)", re.ASCII)
_MANY_NUMBERS = 50


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
        return Finding("unknown label", f"it is not one of the {len(known)} labels of the model", remedy, True)

    def encode(self, cells, tensors=None):
        """The index of each label, int32 `(rows,)`."""
        indices = {label: index for index, label in enumerate(self.classes)}
        return np.array([indices[_to_label(cell)] for cell in cells], "int32")

    def activate(self, logits, mask=None, name=None):
        return keras.layers.Softmax(name=name, dtype="float32")(logits)

    def prepare_metric(self, metric):
        return fit_labels(metric)

    def decode(self, outputs, tensors=None):
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

    @property
    def measures(self):
        return ClassMeasures(self.column, self.classes, self.output_name)

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
