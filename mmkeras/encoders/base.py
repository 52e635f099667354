"""What every encoder does: from the tensor of one column to Features."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import ops

from mmkeras.encoders.needs import Needs
from mmkeras.features import Features
from mmkeras.layers import MaskTokens, ZeroAbsent
from mmkeras.preprocessing import Places, Preprocessor
from mmkeras.preprocessing.places import WHOLE
from mmkeras.representation import Represented
from mmkeras.weights import assign_weights


class Encoder(Represented):
    """Declares how one modality is encoded; `build_model` makes the functional Keras model of it.

    Around what a subclass does in `encode`, every encoder zeroes the content of absent rows before anything reads
    it, and normalizes tokens and pooled vector (Ba et al., "Layer Normalization", 2016), so that no branch
    outweighs another when they are fused.

    Subclasses are registered with Keras, keep their constructor arguments as attributes of the same name, and
    return them from `get_config`.

    Args:
        units: size of the token vectors and of the pooled vector.

    Attributes:
        token_per_step: whether there is one token for each step of the prepared content: piece, frame, column or item.
        initial_weights: arrays by path, as `mmkeras.weights.list_weights` names them; `build_model` starts from them.
            They belong to the object and not to its configuration: a saved model holds its weights itself.
    """

    initial_weights: Mapping[str, np.ndarray] | None = None
    token_per_step = False

    def __init__(self, units: int = 64):
        if units < 1:
            raise ValueError(f"`units` of {type(self).__name__} is at least 1. Received: units={units}")
        self.units = units

    def preprocessing(self) -> Needs:
        """What this encoder needs of its preprocessor; nothing, unless a subclass says so."""
        return Needs()

    def learn(self, preprocessor: Preprocessor, cells: Sequence, classes: np.ndarray, num_classes: int) -> "Encoder":
        """What the training rows of a classifier say, before any training; this encoder, unless a subclass learns.

        Args:
            preprocessor: takes the cells to tensors.
            cells: the raw cells of the rows, empty where one is missing.
            classes: ints `(rows,)`.
            num_classes: how many classes there are.

        Returns: an encoder; this one stays as it is.
        """
        return self

    def locate(self, preprocessor: Preprocessor, cells: Sequence | None = None) -> Places:
        """Where each token lies in the content; the whole of it, unless a subclass declares otherwise.

        Args:
            preprocessor: as for `build_model`.
            cells: raw cells of the rows, for text, where pieces lie elsewhere in each.

        Raises:
            ValueError: for text without cells.

        Example:

        >>> mk.encoders.ImageViT(patch_size=8).locate(mk.Image(size=16).preprocessor).starts[0].tolist()
        [[0, 0], [0, 8], [8, 0], [8, 8]]
        """
        return preprocessor.locate(cells) if self.token_per_step else WHOLE

    def encode(self, inputs, preprocessor, *length):
        """Symbolic inputs `(batch, *preprocessor.shape)` to tokens, mask and pooled vector, as in `Features`.

        Of sound and video it also gets the length `(batch,)`: how many samples or frames are real.
        """
        raise NotImplementedError

    def build_model(
        self,
        preprocessor: Preprocessor,
        name: str = "encoder",
        augmentation: Sequence[keras.layers.Layer] = (),
    ) -> keras.Model:
        """The functional model from `content`, `present`, and `length` of sound and video, to `Features`.

        Args:
            preprocessor: says shape, dtype, and what else the encoder needs to know (the vocabulary).
            name: of the model.
            augmentation: layers that change the content in training.
        """
        # === Inputs ===
        inputs = {
            part: keras.Input(spec.shape, dtype=spec.dtype.name, name=part)
            for part, spec in preprocessor.tensor_specs().items()
        }
        content, present, *length = inputs.values()

        # === Layers ===
        values = ZeroAbsent(name="zero_absent")(content, present)
        length = [ZeroAbsent(name="zero_absent_length")(tensor, present) for tensor in length]
        for layer in augmentation:
            values = layer(values)
        tokens, mask, pooled = self.encode(values, preprocessor, *length)
        tokens = keras.layers.LayerNormalization(name="tokens_norm")(tokens)
        pooled = keras.layers.LayerNormalization(name="pooled_norm")(pooled)
        mask = ops.logical_and(mask, ops.expand_dims(present, 1))
        tokens = MaskTokens(name="tokens")(tokens, mask)

        # === Functional model ===
        features = Features(tokens=tokens, mask=mask, pooled=pooled, present=present)
        model = keras.Model(inputs, dict(features), name=name)
        if self.initial_weights is not None:
            assign_weights(model, self.initial_weights)
        return model

    def get_config(self) -> dict:
        return {"units": self.units}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
