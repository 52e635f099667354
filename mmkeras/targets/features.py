from collections.abc import Sequence

import keras
import numpy as np

from mmkeras.data.names import name_uniquely
from mmkeras.targets.base import Target
from mmkeras.targets.vector import are_parallel


@keras.saving.register_keras_serializable(package="mmkeras")
class FeaturesTarget(Target):
    """The Features that a backbone gives, which stand in no column.

    Its outputs are called `<input>_<key>` and `fused_<key>`, where a key is `tokens`, `mask`, `pooled` or `present`.
    Two rows of them are the same where the cosine of each is above 0.999.

    Args:
        inputs: names of the inputs.
        keys: of the Features.
        has_fused: whether there are Features of all inputs together.

    Example:

    >>> mk.targets.FeaturesTarget(["image", "text"], ["pooled"]).output_names
    ['image_pooled', 'text_pooled', 'fused_pooled']
    """

    columns = ()
    output_name = "features"
    is_adapted = True

    def __init__(self, inputs: Sequence[str], keys: Sequence[str], has_fused: bool = True):
        self.inputs = list(inputs)
        self.keys = list(keys)
        self.has_fused = has_fused

    @property
    def output_names(self):
        return [f"{name}_{key}" for name in self._parts() for key in self.keys]

    def _parts(self):
        """What Features there are, by the name that outputs begin with."""
        return [*self.inputs, *([name_uniquely("fused", self.inputs)] if self.has_fused else [])]

    def name_outputs(self, outputs):
        parts = [outputs["modalities"][name] for name in self.inputs]
        parts += [outputs["fused"]] if self.has_fused else []
        return {
            f"{name}_{key}": features[key]
            for name, features in zip(self._parts(), parts, strict=True)
            for key in self.keys
        }

    def describe(self, outputs, decoded=None):
        """The pooled vectors of each input, and of all together."""
        vectors = {name: outputs[f"{name}_pooled"] for name in self._parts() if "pooled" in self.keys}
        rows = len(next(iter(outputs.values())))
        return [{name: vector[index] for name, vector in vectors.items()} for index in range(rows)]

    def same_answer(self, expected, received):
        return np.all([are_parallel(expected[name], received[name]) for name in expected], axis=0)

    def get_config(self):
        return {"inputs": self.inputs, "keys": self.keys, "has_fused": self.has_fused}
