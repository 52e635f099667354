"""What a task predicts, as a modality is what it reads."""

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from mmkeras.data.report import Finding
from mmkeras.representation import Represented
from mmkeras.targets.measures.base import Measures

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
        measures: the `Measures` of its answers; None for a target without labels.
        needs_tensors: whether `encode` and `decode` read what the preprocessor made of the row, such as places.
        has_classes: whether the logits are those of classes, of which one is the answer.
    """

    columns: Sequence[str]
    output_name: str
    output_units: int
    answer_names: Sequence[str] = ()
    measures: Measures | None = None
    default_loss: str | Mapping[str, str]
    default_metrics: Sequence[str] | Mapping[str, Sequence[str]]
    has_classes = False
    needs_tensors = False

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

    def encode(self, cells: Sequence, tensors: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Cells without problems to what the loss takes, `(rows, ...)`.

        Args:
            cells: of the rows.
            tensors: what the preprocessor made of these rows, by name; given where it `needs_tensors`.
        """
        raise NotImplementedError

    def activate(self, logits, mask=None, name: str | None = None):
        """Logits to the output of the model.

        Args:
            logits: `(batch, output_units)`, or `(batch, length, output_units)` of a head that answers for tokens.
            mask: bool `(batch, length)`, which tokens are real; None for an answer for the row.
            name: of the layer that gives the output.
        """
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

    def decode(self, outputs: Mapping, tensors: Mapping | None = None) -> dict:
        """Outputs to answers by name, TensorFlow ops only: what the raw signature gives besides the outputs.

        Args:
            outputs: by name, each `(batch, ...)`.
            tensors: what the model was fed, by name; given where the target `needs_tensors`.
        """
        return {}

    def name_answer(self, column) -> str:
        """What `decode` calls the answer of a column: as the column, unless an output has this name."""
        return f"predicted_{column}" if column in {ERROR, self.output_name, *self.answer_names} else str(column)

    def decode_arrays(
        self, outputs: Mapping[str, np.ndarray], tensors: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """The same for arrays, outside of a graph."""
        outputs, tensors = tf.nest.map_structure(tf.constant, (dict(outputs), dict(tensors or {})))
        return {name: tensor.numpy() for name, tensor in self.decode(outputs, tensors).items()}

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
