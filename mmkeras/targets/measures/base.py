"""How good the answers of one kind of target are."""

from collections.abc import Mapping

import numpy as np
import pandas as pd


class Measures:
    """Measures outputs of a model against the labels of rows. A `Target` makes it; one without labels has none.

    `outputs` are those of the model by name, each `(rows, ...)`; `truth` is what `Target.encode` gives for these rows.

    Attributes:
        score_name: what `score` measures.
    """

    score_name: str

    def score(self, outputs: Mapping[str, np.ndarray], truth) -> float:
        """The one number by which models are compared; larger is better."""
        raise NotImplementedError

    def measure(self, outputs: Mapping[str, np.ndarray], truth) -> dict[str, float]:
        """The main metrics by name, as in the report of an export."""
        raise NotImplementedError

    def measure_all(self, outputs: Mapping[str, np.ndarray], truth) -> dict[str, float]:
        """All metrics by name, for people who compare models."""
        return self.measure(outputs, truth)

    def answer_constantly(self, truth) -> dict[str, np.ndarray]:
        """The outputs by name of the best answer that is the same for all these rows."""
        raise NotImplementedError

    def measure_errors(self, outputs: Mapping[str, np.ndarray], truth) -> np.ndarray:
        """The error of each row, float `(rows,)`; 0 for a right answer with full confidence."""
        raise NotImplementedError

    def measure_disagreement(self, outputs: Mapping[str, np.ndarray], present: np.ndarray) -> np.ndarray:
        """How far several answers to the same row differ; 0 where they agree, or there is but one.

        Args:
            outputs: by name, each `(answers, rows, ...)`.
            present: bool `(answers, rows)`, which answers count.

        Returns: `(rows,)`.
        """
        raise NotImplementedError

    def count_confusions(self, outputs: Mapping[str, np.ndarray], truth) -> dict[str, pd.DataFrame]:
        """By column of classes how many rows of each true class were given each answer; nothing without classes."""
        return {}

    def calibrate(self, outputs: Mapping[str, np.ndarray], truth) -> dict[str, pd.DataFrame]:
        """By column of classes, by intervals of probability, the mean probability and the accuracy; nothing without
        classes.
        """
        return {}

    def list_residuals(self, outputs: Mapping[str, np.ndarray], truth) -> dict[str, pd.DataFrame]:
        """By column of numbers `truth` and `answer` of each row; nothing without numbers."""
        return {}
