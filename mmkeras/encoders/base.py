"""What every encoder does: from the tensor of one column to Features."""

from collections.abc import Sequence

import keras
from keras import ops

from mmkeras.features import FEATURES, Features
from mmkeras.layers import ZeroAbsent


class Encoder:
    """Declares how one modality is encoded; `build_model` makes the functional Keras model of it.

    Around what a subclass does in `encode`, every encoder zeroes the content of absent rows before anything reads
    it, and normalizes tokens and pooled vector (Ba et al., "Layer Normalization", 2016), so that no branch
    outweighs another when they are fused.

    Subclasses are registered with Keras, keep their constructor arguments as attributes of the same name, and
    return them from `get_config`.

    Args:
        units: size of the token vectors and of the pooled vector.
    """

    def __init__(self, units: int = 64):
        if units < 1:
            raise ValueError(f"`units` of {type(self).__name__} is at least 1. Received: units={units}")
        self.units = units

    def encode(self, inputs, preprocessor):
        """Symbolic inputs `(batch, *preprocessor.shape)` to tokens, mask and pooled vector, as in `Features`."""
        raise NotImplementedError

    def build_model(
        self,
        name: str,
        preprocessor,
        outputs: Sequence[str] = FEATURES,
        augmentation: Sequence[keras.layers.Layer] = (),
    ) -> keras.Model:
        """The functional model `<name>_encoder`, from `{name: ..., name_present: ...}` to `Features`.

        Args:
            name: of the input.
            preprocessor: says shape, dtype, and what else the encoder needs to know (the vocabulary).
            outputs: which of the Features are wanted; layers that only serve others are left out.
            augmentation: layers that change the content in training.
        """
        # === Inputs ===
        content = keras.Input(preprocessor.shape, dtype=preprocessor.dtype, name=name)
        present = keras.Input((), dtype="bool", name=f"{name}_present")

        # === Layers ===
        values = ZeroAbsent(name="zero_absent")(content, present)
        for layer in augmentation:
            values = layer(values)
        tokens, mask, pooled = self.encode(values, preprocessor)
        tokens = keras.layers.LayerNormalization(name="tokens_norm")(tokens)
        pooled = keras.layers.LayerNormalization(name="pooled_norm")(pooled)
        mask = ops.logical_and(mask, ops.expand_dims(present, 1))
        tokens = MaskTokens(name="tokens")(tokens, mask)

        # === Functional model ===
        features = Features(tokens=tokens, mask=mask, pooled=pooled, present=present)
        return keras.Model(
            {name: content, f"{name}_present": present},
            {key: features[key] for key in outputs},
            name=f"{name}_encoder",
        )

    def get_config(self) -> dict:
        return {"units": self.units}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="mmkeras")
class MaskTokens(keras.layers.Layer):
    """Zeroes the tokens that the mask says are padding.

    Call arguments:
        tokens: float tensor `(batch, length, units)`.
        mask: bool tensor `(batch, length)`.

    Output shape: as `tokens`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, tokens, token_mask):
        return ops.where(ops.expand_dims(token_mask, -1), tokens, ops.zeros_like(tokens))

    def compute_mask(self, *args, **kwargs):
        return None  # from here on the mask travels in Features

    def compute_output_spec(self, tokens, token_mask):
        return keras.KerasTensor(tokens.shape, dtype=tokens.dtype)
