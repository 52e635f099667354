"""Of one of several classes for each row."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmkeras.targets.measures.base import Measures

_SPANS = 10  # of probability


class ClassMeasures(Measures):
    """Measures of probabilities `(rows, classes)` against the indices of the true classes `(rows,)`.

    Args:
        column: what tables call the answer.
        classes: the labels in the order of the probabilities.
        output_name: of the probabilities.
    """

    score_name = "accuracy"

    def __init__(self, column: str, classes: Sequence[str], output_name: str = "probabilities"):
        self.column = column
        self.classes = classes
        self.output_name = output_name

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


def _measure_entropy(probabilities):
    return -(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=-1)


def _measure_area(scores, is_true):
    """The area under the ROC curve: how often a true row is above another; of equals half (Mann and Whitney, 1947)."""
    count = int(is_true.sum())
    if count in (0, len(scores)):
        return math.nan
    ranks = pd.Series(scores).rank().to_numpy()
    return (ranks[is_true].sum() - count * (count + 1) / 2) / (count * (len(scores) - count))
