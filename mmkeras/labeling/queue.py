"""Which rows are shown in which order, and going through them: label, skip, back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from mmkeras.data import Source
from mmkeras.labeling.table import LabeledTable
from mmkeras.tasks import Classifier


@dataclass(frozen=True)
class Predictions:
    """What a model says of rows: `probabilities (rows, classes)`, NaN in the rows that it cannot answer."""

    classes: Sequence[str]
    probabilities: np.ndarray

    def best(self, row: int, count: int = 2) -> list[tuple[str, float]]:
        """The best classes of a row with their probabilities; empty where the model has no answer."""
        probabilities = self.probabilities[row]
        if np.isnan(probabilities).any():
            return []
        return [(self.classes[i], float(probabilities[i])) for i in np.argsort(-probabilities, kind="stable")[:count]]


def predict(path: str | Path, source: Source, rows: Sequence[int]) -> Predictions:
    """The answers of a saved `Classifier` to these rows of a source; all others are NaN.

    Raises:
        FileNotFoundError, TypeError: when the file is not there, or holds another kind of model.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"No model at {path}. The current folder is {Path.cwd()}.")
    model = keras.saving.load_model(path)
    if not isinstance(model, Classifier):
        raise TypeError(f"Proposals come from a saved mk.Classifier. Received: a {type(model).__name__} in {path}")
    probabilities = np.full((len(source), len(model.classes)), np.nan)
    asked = source.select(rows).with_columns(model.columns)
    usable = np.delete(np.asarray(rows, int), sorted(model.check(asked).rejected))
    if len(usable):
        probabilities[usable] = model.predict(model.dataset(asked, batch_size=256), verbose=0)
    return Predictions(model.classes, probabilities)


def choose_rows(labels: Sequence[str], all_rows: bool = False, contradictions: bool = False) -> list[int]:
    """The rows without a label in the order of the table; then those with one, or only these."""
    unlabeled = [row for row, label in enumerate(labels) if not label.strip()]
    labeled = [row for row, label in enumerate(labels) if label.strip()]
    return labeled if contradictions else unlabeled + labeled if all_rows else unlabeled


def order_rows(rows: Sequence[int], predictions: Predictions) -> list[int]:
    """The rows of which the model is least certain first: by the margin p(best) - p(second best).

    Rows that the model cannot answer come last. Reference: Scheffer, Decomain and Wrobel (2001), margin sampling.

    Example:

    >>> from mmkeras.labeling import Predictions, order_rows
    >>> order_rows([0, 1], Predictions(["a", "b"], np.array([[0.9, 0.1], [0.5, 0.5]])))
    [1, 0]
    """
    best_two = np.sort(predictions.probabilities[rows], axis=1)[:, -2:]
    return [rows[i] for i in np.argsort(best_two[:, 1] - best_two[:, 0], kind="stable")]


def find_contradictions(rows: Sequence[int], labels: Sequence[str], predictions: Predictions) -> list[int]:
    """The rows whose label the model contradicts confidently, the largest p(other) - p(label) first.

    Another class j contradicts where p(j) reaches its threshold: the mean of p(j) over the rows that are labeled j.
    Labels that the model does not know cannot be contradicted. Reference: Northcutt, Jiang and Chuang (2021), confident
    learning. Use a model that was not trained on these rows: what it has learned by heart it does not contradict.
    """
    numbers = {name: i for i, name in enumerate(predictions.classes)}
    rows = [row for row in rows if labels[row] in numbers and predictions.best(row)]
    given = np.array([numbers[labels[row]] for row in rows], int)
    probabilities = predictions.probabilities[rows]
    own = probabilities[np.arange(len(rows)), given]
    thresholds = [own[given == i].mean() if (given == i).any() else 1.0 for i in range(len(numbers))]
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    other = confident.argmax(axis=1)
    gaps = np.where((other != given) & (confident.max(axis=1) > own), confident.max(axis=1) - own, -1.0)
    return [rows[i] for i in np.argsort(-gaps, kind="stable") if gaps[i] > 0]


class LabelingQueue:
    """Goes through rows of a table. Every call names the row it is about, so an old page cannot label another one.

    Args:
        table: a `LabeledTable`.
        rows: the rows to show, counted from 0, in this order.
        classes: labels to offer besides those in the table.
        predictions: of a model, or None.
    """

    def __init__(
        self,
        table: LabeledTable,
        rows: Sequence[int],
        classes: Sequence[str] = (),
        predictions: Predictions | None = None,
    ):
        self.table = table
        self.rows = list(rows)
        self.predictions = predictions
        used = sorted(label for label in {*table.labels} if label.strip())
        known = [*classes, *(predictions.classes if predictions else ()), *used]
        self.classes = list(dict.fromkeys(known))
        self._positions = {row: i for i, row in enumerate(self.rows)}
        self._done = set()
        self._past = []  # (row, the label it had before, or None where it was skipped)

    @property
    def labeled_count(self) -> int:
        """How many rows of the table have a label."""
        return sum(bool(label.strip()) for label in self.table.labels)

    @property
    def left_count(self) -> int:
        """How many of the rows to show have not been labeled here."""
        return len(self.rows) - len(self._done)

    def first(self) -> int | None:
        """The first row that is left, or None."""
        return self._find_left(0)

    def label(self, row: int, label: str) -> int | None:
        """Writes the label of a row; returns the row to show next, or None."""
        label = label.strip()
        if row not in self._positions:
            raise ValueError(f"This row is not among those to label. Received: row={row}")
        if not label:
            raise ValueError("A label has at least one character that is not a space.")
        before = self.table.labels[row]
        self.table.set_label(row, label)
        if label not in self.classes:
            self.classes.append(label)
        self._past.append((row, before))
        self._done.add(row)
        return self._find_left(self._positions[row] + 1)

    def skip(self, row: int) -> int | None:
        """Leaves a row for later; returns the row to show next: those that were skipped come again at the end."""
        self._past.append((row, None))
        return self._find_left(self._positions[row] + 1)

    def back(self) -> int | None:
        """Takes the last step back: the row gets the label that it had before, and is returned; None at the start."""
        if not self._past:
            return None
        row, before = self._past[-1]
        if before is not None:
            self.table.set_label(row, before)
            self._done.discard(row)
        self._past.pop()
        return row

    def _find_left(self, start):
        count = len(self.rows)
        order = (self.rows[(start + step) % count] for step in range(count))
        return next((row for row in order if row not in self._done), None)
