"""One modality of a row to a vector that can be compared with those of others."""

import keras
from keras import ops

from mmkeras.data.names import name_uniquely
from mmkeras.modalities import Modality
from mmkeras.row_model import RowModel, make_preprocessor
from mmkeras.state import apply_state, read_state, use_policy
from mmkeras.targets.vector import VectorTarget


@keras.saving.register_keras_serializable(package="mmkeras")
class UnitVector(keras.layers.Layer):
    """A vector brought to length 1; 0 for an absent row.

    Call arguments:
        vector: `(batch, units)`.
        present: bool `(batch,)`.

    Output shape: `(batch, units)`, float32.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})

    def call(self, vector, present):
        length = ops.sqrt(ops.maximum(ops.sum(ops.square(vector), axis=-1, keepdims=True), 1e-12))
        return ops.where(ops.expand_dims(present, 1), vector / length, 0.0)

    def compute_output_shape(self, vector_shape, present_shape=None):
        return vector_shape


@keras.saving.register_keras_serializable(package="mmkeras")
class Tower(RowModel):
    """One encoder and its projection, from the tensors of a row to a vector of length 1.

    A `Retriever` has one for each modality, which shares its layers; it is exported like a task.

    Args:
        input: name of the input.
        modality: an adapted `Modality`.
        projection: `Dense` layers between the pooled vector and the one that is compared; none for the pooled vector
            itself.
        encoder: the model to share; None to make one of the modality.
        dtype: policy of an encoder that is made.
        name: of the model.

    Attributes:
        input_name: as `input`.
    """

    def __init__(
        self, input: str, modality: Modality, projection=(), encoder=None, dtype=None, name: str | None = None
    ):
        policy = keras.config.dtype_policy() if dtype is None else keras.dtype_policies.get(dtype)
        with use_policy(policy):
            encoder = encoder or modality.build_encoder(f"{input}_encoder")
        modalities = {input: modality}
        preprocessor = make_preprocessor(modalities)
        inputs = {
            key: keras.Input(spec.shape[1:], dtype=spec.dtype.name, name=key)
            for key, spec in preprocessor.tensor_specs().items()
        }
        features = encoder({part: inputs[key] for part, key in preprocessor.tensor_names(input).items()})
        vector = features["pooled"]
        for layer in projection:
            vector = layer(vector)
        name_of_output = name_uniquely("vector", inputs)
        output = UnitVector(name=name_of_output)(vector, features["present"])
        super().__init__(inputs=inputs, outputs=output, name=name)
        self.set_row_parts(modalities, VectorTarget(output.shape[-1]))
        self.input_name = input
        self.encoder = encoder
        self.policy = policy
        self.projection = list(projection)

    def get_config(self):
        # Not chained to the base, which would describe the functional graph; the parts describe it better.
        return {
            "input": self.input_name,
            "modality": keras.saving.serialize_keras_object(self.modalities[self.input_name]),
            "projection": [keras.saving.serialize_keras_object(layer) for layer in self.projection],
            "dtype": keras.dtype_policies.serialize(self.policy),
            "name": self.name,
            "state": read_state(self),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        deserialize = keras.saving.deserialize_keras_object
        tower = cls(
            config["input"],
            deserialize(config["modality"], custom_objects),
            [deserialize(layer, custom_objects) for layer in config["projection"]],
            dtype=keras.dtype_policies.deserialize(config["dtype"]),
            name=config["name"],
        )
        apply_state(tower, config["state"])
        return tower
