from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from mmkeras.data.cells import is_nothing, to_text
from mmkeras.data.numbers import advise, measure, parse_number
from mmkeras.data.report import Finding
from mmkeras.targets.base import Target
from mmkeras.targets.measures.numbers import NumberMeasures

_SAME = 0.05
_METRICS = {"r2": keras.metrics.R2Score, "rmse": keras.metrics.RootMeanSquaredError}  # beside the names Keras knows


@keras.saving.register_keras_serializable(package="mmkeras")
class NumberTarget(Target):
    """One or several numbers for each row, in the units of their columns.

    The output is `mean + deviation * logits`. The loss compares truth and output after both were normalized, so that
    columns of different units count alike; metrics compare them as they are.

    Args:
        columns: names of the columns, or one name.
        statistics: `[mean, deviation]` for each column; None to learn them by `adapt`.

    Example:

    >>> target = mk.targets.NumberTarget("price")
    >>> target.adapt(["10", 30, None])
    >>> target.statistics, target.encode(["20"]).tolist()
    ([[20.0, 10.0]], [[20.0]])
    """

    default_loss = "mse"
    default_metrics = ("mae", "mse", "r2_score")
    output_name = "values"

    def __init__(self, columns: str | Sequence[str], statistics: Sequence[Sequence[float]] | None = None):
        self.columns = [str(columns)] if isinstance(columns, str | int) else list(map(str, columns))
        if not self.columns or len(set(self.columns)) < len(self.columns):
            raise ValueError(f"A regressor predicts at least one column, each once. Received: {self.columns}")
        self.statistics = None if statistics is None else [list(map(float, pair)) for pair in statistics]

    @property
    def is_adapted(self):
        return self.statistics is not None

    @property
    def output_units(self):
        return len(self.columns)

    def adapt(self, cells):
        rows = [row for row in self._to_rows(cells) if None not in map(parse_number, row)]
        if len(rows) < 2:
            raise ValueError(f"A regressor learns from at least two rows with numbers in {self.columns}.")
        numbers = np.array([[parse_number(cell) for cell in row] for row in rows], "float64")
        self.statistics = [[mean, deviation or 1.0] for mean, deviation in map(measure, numbers.T)]

    def _to_rows(self, cells):
        return [[cell] for cell in cells] if len(self.columns) == 1 else [list(row) for row in cells]

    def is_missing(self, cell):
        row = [cell] if len(self.columns) == 1 else cell
        return all(is_nothing(part) or not to_text(part).strip() for part in row)

    def find_problems(self, cells):
        return [
            [finding for part, cell in enumerate(row) if (finding := self._find_problem(cell, part))]
            for row in self._to_rows(cells)
        ]

    def _find_problem(self, cell, part):
        if is_nothing(cell) or not to_text(cell).strip():
            return Finding("no number", "the cell is empty", "fill it, or leave the row out", True, part)
        if parse_number(cell) is None:
            return Finding("not a number", f"{cell!r} is no finite number", advise(str(cell)), True, part)
        return None

    def encode(self, cells, tensors=None):
        """The numbers in the units of their columns, float32 `(rows, columns)`."""
        rows = self._to_rows(cells)
        return np.array([[parse_number(cell) for cell in row] for row in rows], "float32").reshape(
            len(rows), len(self.columns)
        )

    def activate(self, logits, mask=None, name=None):
        means, deviations = zip(*self.statistics, strict=True)
        layer = keras.layers.Rescaling(list(deviations), offset=list(means), name=name, dtype="float32")
        return layer(logits)

    def prepare_loss(self, truth, output):
        means, deviations = (ops.convert_to_tensor(part, "float32") for part in zip(*self.statistics, strict=True))
        return (ops.cast(truth, "float32") - means) / deviations, (output - means) / deviations

    def prepare_metric(self, metric):
        return _METRICS[metric](name=metric) if isinstance(metric, str) and metric in _METRICS else metric

    def decode(self, outputs, tensors=None):
        """Each number, `(batch,)`, under the name of its column."""
        values = outputs[self.output_name]
        return {self.name_answer(column): values[:, index] for index, column in enumerate(self.columns)}

    def same_answer(self, expected, received):
        """Within a twentieth of the deviation of the column."""
        difference = np.abs(expected[self.output_name] - received[self.output_name])
        return np.all(difference <= _SAME * self.scale(self.output_name), axis=1)

    def scale(self, name):
        return np.array([deviation for _, deviation in self.statistics])

    @property
    def measures(self):
        return NumberMeasures(self.columns, self.scale(self.output_name), self.output_name)

    def get_config(self):
        return {"columns": self.columns, "statistics": self.statistics}
