"""Of one or several numbers for each row."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmkeras.targets.measures.base import Measures


class NumberMeasures(Measures):
    """Measures of numbers `(rows, columns)` against the true ones, both in the units of the columns.

    Args:
        columns: names of the columns.
        deviations: the standard deviation of each column in the training rows, the unit of errors.
        output_name: of the numbers.
    """

    score_name = "r2_score"

    def __init__(self, columns: Sequence[str], deviations: Sequence[float], output_name: str = "values"):
        self.columns = columns
        self.deviations = np.array(deviations)
        self.output_name = output_name

    def measure_disagreement(self, outputs, present):
        """The standard deviation of the answers, in deviations of the column; the mean of that over the columns."""
        values, weights = outputs[self.output_name] / self.deviations, present[..., np.newaxis]
        count = np.maximum(present.sum(axis=0), 1)[:, np.newaxis]
        mean = (values * weights).sum(axis=0) / count
        return np.sqrt((weights * (values - mean) ** 2).sum(axis=0) / count).mean(axis=1)

    def measure(self, outputs, truth):
        values = outputs[self.output_name].astype("float64")
        metrics = {}
        for index, column in enumerate(self.columns):
            prefix = f"{column}_" if len(self.columns) > 1 else ""
            errors = values[:, index] - truth[:, index]
            variance = float(np.var(truth[:, index].astype("float64")))
            metrics[f"{prefix}mean_absolute_error"] = float(np.mean(np.abs(errors)))
            metrics[f"{prefix}mean_squared_error"] = float(np.mean(errors**2))
            metrics[f"{prefix}r2_score"] = 1 - float(np.mean(errors**2)) / variance if variance else math.nan
        return metrics

    def measure_errors(self, outputs, truth):
        """In deviations of the column; the mean of that over the columns."""
        return (np.abs(outputs[self.output_name] - truth) / self.deviations).mean(axis=1)

    def list_residuals(self, outputs, truth):
        values = outputs[self.output_name]
        return {
            column: pd.DataFrame({"truth": truth[:, index], "answer": values[:, index]})
            for index, column in enumerate(self.columns)
        }

    def answer_constantly(self, truth):
        return {self.output_name: np.tile(truth.mean(axis=0), (len(truth), 1))}

    def score(self, outputs, truth):
        """The mean over the columns."""
        metrics = self.measure(outputs, truth)
        return float(np.mean([value for name, value in metrics.items() if name.endswith("r2_score")]))
