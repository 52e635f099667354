"""Encoded sound to samples."""

import io

import keras
import tensorflow as tf

from mmkeras.data import decoders, media, native
from mmkeras.data.cells import FILE
from mmkeras.data.report import Finding
from mmkeras.preprocessing.base import Preprocessor, attempt, require
from mmkeras.preprocessing.native_audio import decode_audio_native
from mmkeras.preprocessing.tensorflow_io import import_native_ops
from mmkeras.preprocessing.wav import read_wav

_NO_AUDIO, _DAMAGED, _NO_SAMPLES = "not audio", "damaged audio", "no samples"
_NOT_PLAIN, _OTHER_RATE = "not PCM of 16 bits", "another sample rate"
_EXPLANATIONS = {  # detail and remedy
    _NO_AUDIO: ("it is no WAV file", "convert the file to WAV"),
    _DAMAGED: ("its parts do not lead to its samples, or it breaks off before their end", "replace the file"),
    _NO_SAMPLES: ("the recording has no sound in it", "replace the file, or leave the cell empty"),
    _NOT_PLAIN: ("its samples are written in another way", "convert the file to PCM of 16 bits"),
    _OTHER_RATE: ("it has not the sample rate of the model", "convert the file to this rate"),
}
_TOLERATED_SECONDS = 0.025  # that are cut without a word: one frame of a spectrogram


def _is_riff(data):
    return tf.strings.substr(data, 0, 4) == b"RIFF"


def _count_frames(sound):
    return sound.size // (2 * tf.maximum(sound.channels, 1))


@keras.saving.register_keras_serializable(package="mmkeras")
class AudioPreprocessor(Preprocessor):
    """Bytes of a WAV file (PCM, 16 bits, any number of channels) to mono samples `(samples,)`, float32 in [-1, 1].

    With them comes their length: how many there are before the zeros that follow a shorter recording. Channels are
    averaged. A longer recording is cut at the end. Other formats and rates become such WAV files outside of the graph
    (`mmkeras.data.media`).

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
        return tf.cond(_is_riff(data), lambda: self._decode_wav(data), lambda: self._decode_native(data))

    def _decode_native(self, data):
        return decode_audio_native(data, self.sample_rate)

    def _decode_wav(self, data):
        sound = read_wav(data)
        kind = self._explain_wav(data, sound)
        with tf.control_dependencies([require(kind == "", kind)]):
            frames = tf.minimum(_count_frames(sound), tf.constant(self.shape[0], tf.int64))
        content = tf.strings.substr(data, sound.start, 2 * frames * sound.channels)
        samples = tf.reshape(tf.io.decode_raw(content, tf.int16), (frames, sound.channels))
        weights = tf.fill((sound.channels,), 1 / (2**15 * tf.cast(sound.channels, tf.float32)))
        return tf.linalg.matvec(tf.cast(samples, tf.float32), weights)  # their mean, much faster than by `reduce_mean`

    def _explain_wav(self, data, sound):
        kind = tf.where(_count_frames(sound) > 0, "", _NO_SAMPLES)
        kind = tf.where(sound.sample_rate == self.sample_rate, kind, _OTHER_RATE)
        kind = tf.where(sound.is_plain, kind, _NOT_PLAIN)
        kind = tf.where(sound.start > 0, kind, _DAMAGED)
        return tf.where(_is_riff(data), kind, _NO_AUDIO)

    def explain_file(self, cell):
        kind = self._explain_wav(cell, read_wav(cell))
        if self.decoder == "tensorflow-io":
            length = attempt(lambda data: self.prepare_cell(data)[1], cell, tf.constant(0))
            kind = tf.where(_is_riff(cell), kind, tf.where(length > 0, "", _DAMAGED))
        return tf.where(self.is_present(cell), kind, "")

    def find_problems(self, cells):
        return [
            [finding] if (finding := self._find_problem(cell)) else remarks
            for cell, remarks in zip(cells, self.find_remarks(cells), strict=True)
        ]

    def _find_problem(self, data):
        if media.is_tensorflow_io_sound(data):
            # tensorflow-io waits for ever for what a damaged file lacks, so FFmpeg sees it first.
            try:
                data = decoders.convert("audio", data, None, self.media_options)
            except decoders.MediaError as error:
                return error.finding
        kind = self.compile_cell(self.explain_file)(data).numpy().decode()
        if kind:
            return Finding(kind, *_EXPLANATIONS[kind], True)
        return None

    def find_remarks(self, cells, measures=None):
        return [[finding] if (finding := self._find_remark(cell)) else [] for cell in cells]

    def _find_remark(self, data):
        sound = native.read_wav(io.BytesIO(data))
        if sound is None:  # of another format, which tensorflow-io reads
            return None
        if sound.size / (2 * sound.channels * self.sample_rate) > self.seconds + _TOLERATED_SECONDS:
            return Finding(
                "audio cut",
                f"it is longer than the {self.seconds:g} s that the model hears, and what follows is cut",
                "give Audio more `seconds`, or cut the recording in windows with `mk.windows`",
                False,
            )
        return None

    def get_config(self) -> dict:
        return {"seconds": self.seconds, "sample_rate": self.sample_rate, "decoder": self.decoder}
