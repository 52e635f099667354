"""Encoded sound to samples."""

import keras
import tensorflow as tf

from mmkeras.data import decoders, media
from mmkeras.data.cells import FILE
from mmkeras.data.report import Finding
from mmkeras.preprocessing.base import Preprocessor
from mmkeras.preprocessing.native_audio import decode_audio_native
from mmkeras.preprocessing.tensorflow_io import import_native_ops


@keras.saving.register_keras_serializable(package="mmkeras")
class AudioPreprocessor(Preprocessor):
    """Bytes of a WAV file (PCM, 16 bits, any number of channels) to mono samples `(samples,)`, float32 in [-1, 1].

    With them comes their length: how many there are before the zeros that follow a shorter recording. Channels are
    averaged. A longer recording is cut at the end. Other formats and
    rates become such WAV files outside of the graph (`mmkeras.data.media`).

    Args:
        seconds: length of what the model hears.
        sample_rate: in hertz.
        decoder: `"ffmpeg"`, or `"tensorflow-io"`, which reads FLAC, MP3 and Ogg Vorbis in the graph too, so that an
            exported model takes them, but loads with TensorFlow 2.16 only.

    Example:

    >>> audio = AudioPreprocessor(seconds=0.5, sample_rate=8000)
    >>> wav = tf.audio.encode_wav(tf.ones((1000, 1)) / 2, 8000)
    >>> samples, length = audio.prepare_cell(wav)
    >>> samples.shape.as_list(), int(length)
    ([4000], 1000)
    """

    cells = FILE
    media_type = "audio"
    has_length = True
    dtype = "float32"

    def __init__(self, seconds: float = 5.0, sample_rate: int = 16000, decoder: str = "ffmpeg"):
        if not seconds > 0 or not sample_rate > 0:
            raise ValueError(
                "`seconds` and `sample_rate` of Audio are greater than 0. "
                f"Received: seconds={seconds}, sample_rate={sample_rate}"
            )
        if decoder not in ("ffmpeg", "tensorflow-io"):
            raise ValueError(f"`decoder` of Audio is 'ffmpeg' or 'tensorflow-io'. Received: decoder={decoder!r}")
        if decoder == "tensorflow-io":
            import_native_ops()
        self.decoder = decoder
        self.seconds = seconds
        self.sample_rate = sample_rate

    @property
    def media_options(self):
        # A little more than is used, so that a check can tell that there is more.
        return {"sample_rate": self.sample_rate, "max_seconds": self.seconds + 0.1, "decoder": self.decoder}

    @property
    def shape(self):
        return (round(self.seconds * self.sample_rate),)

    def prepare_cell(self, cell):
        nothing = tf.zeros((0,))
        samples = tf.cond(self.is_present(cell), lambda: self._decode(cell), lambda: nothing)[: self.shape[0]]
        length = tf.size(samples)
        return tf.ensure_shape(tf.pad(samples, [[0, self.shape[0] - length]]), self.shape), length

    def _decode(self, data):
        if self.decoder == "ffmpeg":
            return self._decode_wav(data)
        is_wav = tf.strings.substr(data, 0, 4) == b"RIFF"
        return tf.cond(is_wav, lambda: self._decode_wav(data), lambda: self._decode_native(data))

    def _decode_native(self, data):
        return decode_audio_native(data, self.sample_rate)

    def _decode_wav(self, data):
        samples, rate = tf.audio.decode_wav(data)
        check = tf.debugging.assert_equal(rate, self.sample_rate, f"The WAV file has not {self.sample_rate} Hz.")
        with tf.control_dependencies([check] if check is not None else []):  # None when run eagerly
            channels = tf.shape(samples)[1]
            weights = tf.fill((channels,), 1 / tf.cast(channels, tf.float32))
            return tf.linalg.matvec(samples, weights)  # their mean, much faster than by `reduce_mean`

    def find_problems(self, cells):
        return [[finding] if (finding := self._find_problem(cell)) else [] for cell in cells]

    def _find_problem(self, data):
        if media.is_tensorflow_io_sound(data):
            # tensorflow-io waits for ever for what a damaged file lacks, so FFmpeg sees it first.
            try:
                data = decoders.convert("audio", data, None, self.media_options)
            except decoders.MediaError as error:
                return error.finding
        try:
            samples, rate = tf.audio.decode_wav(data)
        except tf.errors.InvalidArgumentError as error:
            return Finding("damaged audio", error.message.split(" [Op:")[0], "replace the file", True)
        if len(samples) == 0:
            return Finding("no samples", "the recording has no sound in it", "replace the file", True)
        if len(samples) > self.shape[0]:
            return Finding(
                "audio cut",
                f"it is longer than the {self.seconds:g} s that the model hears, and what follows is cut",
                "give Audio more `seconds`, or cut the recording in windows with `mk.windows`",
                False,
            )
        return None

    def get_config(self) -> dict:
        return {"seconds": self.seconds, "sample_rate": self.sample_rate, "decoder": self.decoder}
