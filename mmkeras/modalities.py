"""What a column holds, how it is prepared and how it is encoded."""

from collections.abc import Sequence

import keras

from mmkeras.encoders import CNN, GRU, Encoder
from mmkeras.features import FEATURES
from mmkeras.preprocessing import ImagePreprocessor, Preprocessor, TextPreprocessor


class Modality:
    """Declares one input of a task: a preprocessor and an encoder. Serialisable, and holds no weights.

    Args:
        preprocessor: takes raw cells to a tensor.
        encoder: takes the tensor to Features: an `Encoder`, or the name of one with its default arguments.
        column: the column to read, where it has another name than the input.
    """

    encoders: dict[str, type[Encoder]]

    def __init__(self, preprocessor: Preprocessor, encoder: str | Encoder, column: str | None = None):
        self.preprocessor = preprocessor
        self.encoder = self._get_encoder(encoder)
        self.column = column

    def _get_encoder(self, encoder):
        if isinstance(encoder, Encoder):
            return encoder
        if encoder in self.encoders:
            return self.encoders[encoder]()
        raise ValueError(
            f"`encoder` of {type(self).__name__} is one of {sorted(self.encoders)}, or an object from `mk.encoders`. "
            f"Received: encoder={encoder!r}"
        )

    def adapt(self, cells: Sequence[str]):
        """Learns from the cells of the training rows what was not given; nothing for most modalities."""

    def build_encoder(self, name: str, outputs: Sequence[str] = FEATURES) -> keras.Model:
        """The functional Keras model from this input's tensors to Features, or to some of them."""
        return self.encoder.build_model(name, self.preprocessor, outputs)

    def get_config(self) -> dict:
        return {
            **self.preprocessor.get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "column": self.column,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "encoder": keras.saving.deserialize_keras_object(config["encoder"])})

    def copy(self):
        """A modality of the same configuration, which can adapt to other data."""
        return self.from_config(self.get_config())


@keras.saving.register_keras_serializable(package="mmkeras")
class Text(Modality):
    """A column of text.

    Args:
        vocabulary: word pieces, `[PAD]` first and `[UNK]` among them; None to learn them from the training rows.
        sequence_length: tokens a row; None for the length of the longest training text, at most 512.
        vocabulary_size: how many word pieces to aim at when they are learnt.
        lowercase: fold case and strip accents.
        encoder: `"gru"`, or an object from `mk.encoders`.
        column: the column to read, where it has another name than the input.

    Example:

    >>> text = mk.Text()
    >>> text.adapt(["what color is it?", "what shape is it?"] * 100)
    >>> text.preprocessor.sequence_length
    5
    """

    encoders = {"gru": GRU}

    def __init__(
        self,
        vocabulary: Sequence[str] | None = None,
        sequence_length: int | None = None,
        vocabulary_size: int = 8000,
        lowercase: bool = True,
        encoder: str | Encoder = "gru",
        column: str | None = None,
    ):
        preprocessor = TextPreprocessor(vocabulary, sequence_length, vocabulary_size, lowercase)
        super().__init__(preprocessor, encoder, column)

    def adapt(self, cells):
        if not self.preprocessor.is_adapted:
            self.preprocessor.adapt(cells)


@keras.saving.register_keras_serializable(package="mmkeras")
class Image(Modality):
    """A column of pictures: paths of PNG, JPEG, GIF or BMP files, or their bytes.

    Args:
        size: `(height, width)` in pixels that pictures are stretched to, or one number for both.
        antialias: average over source pixels when shrinking.
        max_pixels: larger pictures are refused.
        encoder: `"cnn"`, or an object from `mk.encoders`.
        column: the column to read, where it has another name than the input.

    Example:

    >>> mk.Image(size=(48, 64)).preprocessor.shape
    (48, 64, 3)
    """

    encoders = {"cnn": CNN}

    def __init__(
        self,
        size: int | tuple[int, int] = 64,
        antialias: bool = True,
        max_pixels: int = 2**25,
        encoder: str | Encoder = "cnn",
        column: str | None = None,
    ):
        super().__init__(ImagePreprocessor(size, antialias, max_pixels), encoder, column)
