import keras

from mmkeras.encoders import AudioCNN, AudioCNN2D, AudioCRNN, AudioTransformer, Encoder
from mmkeras.modalities import choosing
from mmkeras.modalities.base import Modality
from mmkeras.preprocessing import AudioPreprocessor


@keras.saving.register_keras_serializable(package="mmkeras")
class Audio(Modality):
    """A column of recordings: paths of sound or video files, or their bytes.

    WAV files of this rate are read by TensorFlow, anything else that FFmpeg opens is converted by it.

    Args:
        seconds: length of what the model hears; longer recordings are cut, see `Source.windows`.
        sample_rate: in hertz.
        decoder: `"ffmpeg"`, or `"tensorflow-io"`, see `AudioPreprocessor`.
        encoder: `"cnn"`, `"cnn2d"`, `"crnn"`, `"transformer"`, or an object from `mk.encoders`.
        column: the column to read, where it has another name than the input.

    Example:

    >>> mk.Audio(seconds=2).preprocessor.shape
    (32000,)
    """

    preprocessor_class = AudioPreprocessor
    encoders = {"cnn": AudioCNN, "cnn2d": AudioCNN2D, "crnn": AudioCRNN, "transformer": AudioTransformer}
    tried_encoders = ("cnn", "cnn2d", "crnn")
    suffixes = (".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".amr", ".wma", ".aif", ".aiff")
    defaults = {"seconds": 5.0, "sample_rate": 16000, "decoder": "ffmpeg"}

    def __init__(
        self,
        seconds: float | None = None,
        sample_rate: int | None = None,
        decoder: str | None = None,
        encoder: str | Encoder = "cnn",
        column: str | None = None,
    ):
        super().__init__(encoder, column, seconds=seconds, sample_rate=sample_rate, decoder=decoder)

    @classmethod
    def choose_inputs(cls, source, column, rows, seconds):
        return {"": (cls.__name__, *choosing.choose_audio(choosing.probe_some(source, column)))}
