"""What a column holds, how it is prepared and how it is encoded."""

from collections.abc import Mapping, Sequence

import keras

from mmkeras.encoders import AudioCNN, Encoder, HistoryGRU, ImageCNN, TabularMLP, TextGRU, VideoGRU
from mmkeras.features import FEATURES
from mmkeras.preprocessing import (
    AudioPreprocessor,
    HistoryPreprocessor,
    ImagePreprocessor,
    Preprocessor,
    TabularPreprocessor,
    TextPreprocessor,
    VideoPreprocessor,
)


class Modality:
    """Declares one input of a task: a preprocessor and an encoder. Serializable, and holds no weights.

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

    def source_columns(self, name: str) -> list[str]:
        """The columns that the input `name` is read from."""
        return [self.column or name]

    def adapt(self, cells: Sequence):
        """Learns from the cells of the training rows what was not given; nothing for most modalities."""
        if not self.preprocessor.is_adapted:
            self.preprocessor.adapt(cells)

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
        vocabulary_size: how many word pieces to aim at when they are learned.
        lowercase: fold case and strip accents.
        encoder: `"gru"`, or an object from `mk.encoders`.
        column: the column to read, where it has another name than the input.

    Example:

    >>> text = mk.Text()
    >>> text.adapt(["what color is it?", "what shape is it?"] * 100)
    >>> text.preprocessor.sequence_length
    5
    """

    encoders = {"gru": TextGRU}

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


@keras.saving.register_keras_serializable(package="mmkeras")
class Image(Modality):
    """A column of images: paths of files, or their bytes.

    PNG, JPEG, GIF and BMP are read by TensorFlow, other formats are converted by Pillow.

    Args:
        size: `(height, width)` in pixels that images are brought to, or one number for both.
        fit: `"stretch"` the whole image to the size, `"crop"` what is too much on two sides, or `"pad"` with black.
        antialias: average over source pixels when shrinking.
        max_pixels: larger images are refused.
        encoder: `"cnn"`, or an object from `mk.encoders`.
        augmentation: Keras layers such as `keras.layers.RandomFlip()`, which change the pixels in training only.
        column: the column to read, where it has another name than the input.

    Example:

    >>> mk.Image(size=(48, 64)).preprocessor.shape
    (48, 64, 3)
    """

    encoders = {"cnn": ImageCNN}

    def __init__(
        self,
        size: int | tuple[int, int] = 64,
        fit: str = "stretch",
        antialias: bool = True,
        max_pixels: int = 2**25,
        encoder: str | Encoder = "cnn",
        augmentation: Sequence[keras.layers.Layer] = (),
        column: str | None = None,
    ):
        super().__init__(ImagePreprocessor(size, fit, antialias, max_pixels), encoder, column)
        self.augmentation = list(augmentation)

    def build_encoder(self, name, outputs=FEATURES):
        # Copies: layers belong to one model, and a declaration may serve several.
        layers = [type(layer).from_config(layer.get_config()) for layer in self.augmentation]
        return self.encoder.build_model(name, self.preprocessor, outputs, layers)

    def get_config(self):
        layers = [keras.saving.serialize_keras_object(layer) for layer in self.augmentation]
        return {**super().get_config(), "augmentation": layers}

    @classmethod
    def from_config(cls, config):
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config.get("augmentation", ())]
        return super().from_config({**config, "augmentation": layers})


@keras.saving.register_keras_serializable(package="mmkeras")
class Audio(Modality):
    """A column of recordings: paths of sound or video files, or their bytes.

    WAV files of this rate are read by TensorFlow, anything else that FFmpeg opens is converted by it.

    Args:
        seconds: length of what the model hears; longer recordings are cut, see `Source.windows`.
        sample_rate: in hertz.
        decoder: `"ffmpeg"`, or `"tensorflow-io"`, see `AudioPreprocessor`.
        encoder: `"cnn"`, or an object from `mk.encoders`.
        column: the column to read, where it has another name than the input.

    Example:

    >>> mk.Audio(seconds=2).preprocessor.shape
    (32000,)
    """

    encoders = {"cnn": AudioCNN}

    def __init__(
        self,
        seconds: float = 5.0,
        sample_rate: int = 16000,
        decoder: str = "ffmpeg",
        encoder: str | Encoder = "cnn",
        column: str | None = None,
    ):
        super().__init__(AudioPreprocessor(seconds, sample_rate, decoder), encoder, column)


@keras.saving.register_keras_serializable(package="mmkeras")
class Video(Modality):
    """A column of video files, or their bytes, of which some frames are looked at. Its sound is an `Audio`.

    Args:
        frames: how many the model sees.
        size: `(height, width)` in pixels that frames are stretched to, or one number for both.
        rate: frames a second, taken from the beginning of a file; None to spread them over the whole of it.
        antialias: average over source pixels when shrinking.
        max_pixels: larger frames are refused.
        encoder: `"gru"`, or an object from `mk.encoders`.
        column: the column to read, where it has another name than the input.

    Example:

    >>> mk.Video(frames=4, size=32).preprocessor.shape
    (4, 32, 32, 3)
    """

    encoders = {"gru": VideoGRU}

    def __init__(
        self,
        frames: int = 8,
        size: int | tuple[int, int] = 64,
        rate: float | None = None,
        antialias: bool = True,
        max_pixels: int = 2**25,
        encoder: str | Encoder = "gru",
        column: str | None = None,
    ):
        super().__init__(VideoPreprocessor(frames, size, rate, antialias, max_pixels), encoder, column)


@keras.saving.register_keras_serializable(package="mmkeras")
class Tabular(Modality):
    """Columns of numbers, categories and dates, as one modality. Any cell may be missing.

    Args:
        numbers, categories, dates: names of columns. Dates are written as in 2024-12-31.
        statistics, vocabularies: see `TabularPreprocessor`; None to learn them from the training rows.
        vocabulary_size: how many values of a column of categories to learn at most.
        encoder: `"mlp"`, or an object from `mk.encoders`.

    Example:

    >>> profile = mk.Tabular(numbers=["age"], categories=["city"])
    >>> profile.source_columns("profile")
    ['age', 'city']
    """

    encoders = {"mlp": TabularMLP}

    def __init__(
        self,
        numbers: Sequence[str] = (),
        categories: Sequence[str] = (),
        dates: Sequence[str] = (),
        statistics: Mapping[str, Sequence[float]] | None = None,
        vocabularies: Mapping[str, Sequence[str]] | None = None,
        vocabulary_size: int = 1000,
        encoder: str | Encoder = "mlp",
    ):
        preprocessor = TabularPreprocessor(numbers, categories, dates, statistics, vocabularies, vocabulary_size)
        super().__init__(preprocessor, encoder)

    def source_columns(self, name):
        return list(self.preprocessor.parts)

    def get_config(self):
        config = super().get_config()
        del config["column"]
        return config


@keras.saving.register_keras_serializable(package="mmkeras")
class History(Modality):
    """A column of items in the order of time: what somebody bought, read or did.

    A cell is a list, or text: a JSON list, or items with spaces between them.

    Args:
        sequence_length: the most recent items that the model sees.
        items: the known items; None to learn them from the training rows.
        vocabulary_size: how many items to learn at most, the most frequent ones.
        times: name of a column that holds as many ascending times, in seconds; None without.
        encoder: `"gru"`, or an object from `mk.encoders`.
        column: the column to read, where it has another name than the input.

    Example:

    >>> mk.History(times="clicked_at").source_columns("clicks")
    ['clicks', 'clicked_at']
    """

    encoders = {"gru": HistoryGRU}

    def __init__(
        self,
        sequence_length: int = 50,
        items: Sequence[str] | None = None,
        vocabulary_size: int = 100_000,
        times: str | None = None,
        encoder: str | Encoder = "gru",
        column: str | None = None,
    ):
        preprocessor = HistoryPreprocessor(sequence_length, items, vocabulary_size, times is not None)
        super().__init__(preprocessor, encoder, column)
        self.times = times

    def source_columns(self, name):
        return super().source_columns(name) + ([self.times] if self.times else [])

    def get_config(self):
        return {**super().get_config(), "times": self.times}
