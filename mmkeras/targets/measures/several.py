"""Of several targets of a row, each of which may be missing."""

from collections.abc import Callable, Mapping

import numpy as np

from mmkeras.metrics import is_known
from mmkeras.targets.measures.base import Measures


class SeveralMeasures(Measures):
    """The measures of each target on the rows that have its label.

    Args:
        parts: by name of the target.
        own_outputs: `(outputs, name)` to the outputs of a target as it calls them, `MultiTarget.own_outputs`.
    """

    score_name = "mean score"

    def __init__(self, parts: Mapping[str, Measures], own_outputs: Callable):
        self.parts = parts
        self.own_outputs = own_outputs

    def score(self, outputs, truth):
        """The mean of the scores of the targets."""
        return float(np.mean([score for _, score in self._map("score", outputs, truth)]))

    def measure(self, outputs, truth):
        return self._name_metrics("measure", outputs, truth)

    def measure_all(self, outputs, truth):
        return self._name_metrics("measure_all", outputs, truth)

    def answer_constantly(self, truth):
        outputs = {}
        for name, part in self.parts.items():
            known = np.asarray(is_known(truth[name]))
            if known.any():
                for key, array in part.answer_constantly(truth[name][known]).items():
                    outputs[f"{name}_{key}"] = np.repeat(array[:1], len(known), axis=0)
        return outputs

    def measure_errors(self, outputs, truth):
        """The mean over the targets of which a row has a label."""
        rows = len(next(iter(truth.values())))
        sums, counts = np.zeros(rows), np.zeros(rows)
        for name, part in self.parts.items():
            known = np.asarray(is_known(truth[name]))
            own = {key: array[known] for key, array in self.own_outputs(outputs, name).items()}
            sums[known] += part.measure_errors(own, truth[name][known])
            counts += known
        return sums / np.maximum(counts, 1)

    def measure_disagreement(self, outputs, present):
        """The mean over the targets."""
        found = [
            part.measure_disagreement(self.own_outputs(outputs, name), present) for name, part in self.parts.items()
        ]
        return np.mean(found, axis=0)

    def count_confusions(self, outputs, truth):
        return self._join("count_confusions", outputs, truth)

    def calibrate(self, outputs, truth):
        return self._join("calibrate", outputs, truth)

    def list_residuals(self, outputs, truth):
        return self._join("list_residuals", outputs, truth)

    def _map(self, method, outputs, truth):
        """By name of the target what the method of its measures gives, of the rows that have its label."""
        for name, part in self.parts.items():
            known = np.asarray(is_known(truth[name]))
            if known.any():
                own = {key: array[known] for key, array in self.own_outputs(outputs, name).items()}
                yield name, getattr(part, method)(own, truth[name][known])

    def _name_metrics(self, method, outputs, truth):
        return {
            f"{name}_{metric}": value
            for name, metrics in self._map(method, outputs, truth)
            for metric, value in metrics.items()
        }

    def _join(self, method, outputs, truth):
        """Tables by column, of all targets."""
        return {column: table for _, tables in self._map(method, outputs, truth) for column, table in tables.items()}
