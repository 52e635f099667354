"""What every objective of pre-training says."""

from collections.abc import Mapping
from typing import NamedTuple

from mmkeras.backbone import Backbone
from mmkeras.features import Features
from mmkeras.representation import Represented


class Measured(NamedTuple):
    """What an objective finds of a batch: sums over what counts, so that those of several replicas add up.

    Attributes:
        loss: the sum of the losses, a scalar.
        count: of how many rows, tokens or patches.
        metrics: by name a sum and a count of its own.
    """

    loss: object
    count: object
    metrics: Mapping[str, tuple]


class Objective(Represented):
    """Declares what a backbone learns from rows without labels. Holds no layers; a `Pretrainer` makes them.

    Subclasses are registered with Keras, keep their constructor arguments as attributes of the same name, and return
    them from `get_config`.

    Args:
        weight: of its loss in the sum of several.
        name: of its metrics; None for its kind and its inputs.

    Attributes:
        inputs: names of the inputs that it is about.
        metric_names: what `measure` finds besides the loss.
        needs_several_rows: whether rows are compared with others of their batch.
        reads_fused: whether it reads what the fusion gives.
        gathers_rows: whether `measure` counts those of all replicas.
    """

    kind: str
    metric_names: tuple[str, ...] = ()
    needs_several_rows = False
    reads_fused = False
    gathers_rows = False

    def __init__(self, inputs: tuple[str, ...], weight: float = 1.0, name: str | None = None):
        if not weight > 0:
            raise ValueError(f"`weight` of {type(self).__name__} is more than 0. Received: weight={weight}")
        self.inputs = tuple(inputs)
        self.weight = weight
        self.name = name or "_".join((self.kind, *self.inputs))

    def used_features(self, backbone: Backbone) -> dict[str, set[str]]:
        """By name of the input which Features of its encoder are read."""
        return {name: {"pooled", "present"} for name in self.inputs}

    def needs_row(self, present: Mapping[str, bool]) -> bool:
        """Whether it learns from a row that has these inputs."""
        return all(present[name] for name in self.inputs)

    def connect(self, backbone: Backbone, connected: Mapping["Objective", Mapping]) -> dict:
        """The tensors that `measure` reads, by name, each `(batch, ...)`, made of those of the backbone,
        and where it is needed of what each objective before it connected.

        Raises:
            ValueError: for a backbone that it does not suit.
        """
        raise NotImplementedError

    def measure(self, outputs: Mapping) -> Measured:
        """The loss and the metrics of a batch, of what `connect` gave."""
        raise NotImplementedError

    def require_inputs(self, backbone: Backbone):
        """Sees to it that the backbone reads what this objective is about."""
        if unknown := [name for name in self.inputs if name not in backbone.encoders]:
            raise ValueError(
                f"{type(self).__name__} is about {list(self.inputs)}, and the backbone reads "
                f"{sorted(backbone.encoders)}. Received: {unknown}"
            )

    def layer_name(self, part: str) -> str:
        """The name of a layer of this objective."""
        return f"{self.name}_{part}"

    def get_config(self) -> dict:
        return {"weight": self.weight, "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def encode(backbone: Backbone, name: str, content, length=None) -> Features:
    """The Features of an input with another content, and length, than the row has."""
    tensors = {part: backbone.input[key] for part, key in backbone.preprocessor.tensor_names(name).items()}
    tensors["content"] = content
    if length is not None:
        tensors["length"] = length
    return backbone.encoders[name](tensors)
