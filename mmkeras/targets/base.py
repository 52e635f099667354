"""What a task predicts, as a modality is what it reads."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import tensorflow as tf

from mmkeras.data.report import Finding
from mmkeras.representation import Represented

ERROR = "error"  # the output of an artifact that says why it does not answer a row


class Target(Represented):
    """Declares what a task predicts: the columns it stands in, how it is learned, and how an output is read.

    Subclasses are registered with Keras, keep their constructor arguments as attributes of the same name, and return
    them from `get_config`. `cells` are the values of the column as they were read, a tuple for each row where there
    are several columns. `outputs` are the outputs of the model by name, each of shape `(batch, ...)`.

    Attributes:
        columns: names of the columns.
        output_name: what the output of the model is called.
        default_loss, default_metrics: as for `compile`, what a task is trained and measured by if nothing is said.
        output_units: how many logits a head gives.
        answer_names: what `decode` gives besides the answer of each column.
        score_name: what `score` measures.
        has_classes: whether the logits are those of classes, of which one is the answer.
    """

    columns: Sequence[str]
    output_name: str
    output_units: int
    answer_names: Sequence[str] = ()
    score_name: str
    default_loss: str | Mapping[str, str]
    default_metrics: Sequence[str] | Mapping[str, Sequence[str]]
    has_classes = False

    @property
    def is_adapted(self) -> bool:
        """Whether everything is known that data must teach."""
        raise NotImplementedError

    def adapt(self, cells: Sequence):
        """Learns from the cells of the training rows what was not given."""
        raise NotImplementedError

    def is_missing(self, cell) -> bool:
        """Whether nothing is known of this row."""
        raise NotImplementedError

    def find_problems(self, cells: Sequence) -> list[list[Finding]]:
        """For each cell what is wrong with it; a missing one is of no use in training."""
        raise NotImplementedError

    def encode(self, cells: Sequence) -> np.ndarray:
        """Cells without problems to what the loss takes, `(rows, ...)`."""
        raise NotImplementedError

    def activate(self, logits, name: str):
        """Logits `(batch, output_units)` to the output of the model, by a layer of this name."""
        raise NotImplementedError

    @property
    def output_names(self) -> Sequence[str]:
        """What the outputs of the model are called in artifacts."""
        return [self.output_name]

    def name_outputs(self, outputs) -> dict:
        """The outputs of the model by these names."""
        return {self.output_name: outputs}

    def prepare_loss(self, truth, output):
        """What `encode` gives, and the output, in the form in which the loss compares them."""
        return truth, output

    def weigh(self, truth, sample_weight):
        """The weights of the rows in the loss, as `compile` takes them; None for equal ones."""
        return sample_weight

    def prepare_metric(self, metric):
        """A metric as for `compile`, in the form that takes what `encode` gives, and the output."""
        return metric

    def prepare_metrics(self, metrics):
        """The same for all that `compile` is given."""
        return [self.prepare_metric(metric) for metric in metrics] if isinstance(metrics, list | tuple) else metrics

    def decode(self, outputs: Mapping) -> dict:
        """Outputs to answers by name, TensorFlow ops only: what the raw signature says besides the outputs."""
        raise NotImplementedError

    def name_answer(self, column) -> str:
        """What `decode` calls the answer of a column: as the column, unless an output has this name."""
        return f"predicted_{column}" if column in {ERROR, self.output_name, *self.answer_names} else str(column)

    def decode_arrays(self, outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The same for arrays, outside of a graph."""
        tensors = {name: tf.constant(array) for name, array in outputs.items()}
        return {name: tensor.numpy() for name, tensor in self.decode(tensors).items()}

    def describe(self, outputs: Mapping[str, np.ndarray], decoded: Mapping | None = None) -> list[dict]:
        """The answers of `decode` as one dict a row, with Python values; `decoded` where they are known already."""
        decoded = self.decode_arrays(outputs) if decoded is None else decoded
        rows = zip(*decoded.values(), strict=True)
        return [dict(zip(decoded, map(_to_python, row), strict=True)) for row in rows]

    def same_answer(self, expected: Mapping[str, np.ndarray], received: Mapping[str, np.ndarray]) -> np.ndarray:
        """For each row whether both outputs give the same answer, bool `(rows,)`."""
        raise NotImplementedError

    def scale(self, name: str) -> np.ndarray | float:
        """What a difference of 1 is in the output of this name; tolerances are multiples of it."""
        return 1.0

    def measure_disagreement(self, outputs: Mapping[str, np.ndarray], present: np.ndarray) -> np.ndarray:
        """How far several answers to the same row contradict each other; 0 where they do not, or there is but one.

        Args:
            outputs: by name, each `(answers, rows, ...)`.
            present: bool `(answers, rows)`, which answers count.

        Returns: `(rows,)`.
        """
        raise NotImplementedError

    def measure(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, float]:
        """The metrics of this kind of task by name, on rows that are labeled."""
        raise NotImplementedError

    def measure_all(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, float]:
        """More metrics by name, for people who compare models."""
        return self.measure(outputs, truth)

    def answer_constantly(self, truth: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs by name of the best answer that is the same for all these rows."""
        raise NotImplementedError

    def count_confusions(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, pd.DataFrame]:
        """By column of classes how many rows of each true class were given each answer; nothing without classes."""
        return {}

    def measure_errors(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> np.ndarray:
        """How wrong the answer to each row is, float `(rows,)`, 0 where it is right beyond doubt."""
        raise NotImplementedError

    def calibrate(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, pd.DataFrame]:
        """By column of classes, for spans of probability, how sure the answers are and how many of them are right;
        nothing without classes.
        """
        return {}

    def list_residuals(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> dict[str, pd.DataFrame]:
        """By column of numbers `truth` and `answer` of each row; nothing without numbers."""
        return {}

    def score(self, outputs: Mapping[str, np.ndarray], truth: np.ndarray) -> float:
        """The one number by which models are compared; larger is better."""
        raise NotImplementedError

    def assets(self) -> dict[str, str]:
        """Files that stand beside an artifact, by name: what a reader of its outputs has to know."""
        return {}

    def get_config(self) -> dict:
        raise NotImplementedError

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def _to_python(value):
    return value.decode("utf-8") if isinstance(value, bytes) else value.item()
