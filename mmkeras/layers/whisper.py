import keras
import numpy as np
from keras import ops

_SAMPLE_RATE, _FRAME, _STEP = 16_000, 400, 160  # samples of a frame, and from one to the next
_LINEAR, _LOG_STEP, _BREAK = 200 / 3, np.log(6.4) / 27, 15  # hertz and mels of the scale of Slaney (1998)


@keras.saving.register_keras_serializable(package="mmkeras")
class WhisperSpectrogram(keras.layers.Layer):
    """Samples at 16 kHz to the spectrogram that Whisper reads: logarithms of energies in mel bands, about in [-1, 1].

    `(max(log10 e, max log10 e - 8) + 4) / 4` of the energies e of at least 1e-10; frames of 25 ms, one every 10 ms, the
    ends of the recording mirrored. The Fourier transform is a convolution, as in `LogMelSpectrogram`. Reference:
    Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision" (2022).

    Args:
        mel_bins: number of bands.

    Call arguments:
        samples: float tensor `(batch, samples)`, in [-1, 1].

    Output shape: `(batch, samples // 160, mel_bins)`.

    Example:

    >>> WhisperSpectrogram(80)(np.zeros((1, 16000))).shape.as_list()
    [1, 100, 80]
    """

    def __init__(self, mel_bins=80, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.mel_bins = mel_bins

    def build(self, samples_shape):
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME) / _FRAME)
        angles = 2 * np.pi * np.outer(np.arange(_FRAME), np.arange(_FRAME // 2 + 1)) / _FRAME
        waves = window[:, None] * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        self.waves = waves[:, None, :].astype("float32")
        self.bands = _make_bands(self.mel_bins)

    def call(self, samples):
        samples = ops.cast(samples, "float32")
        one = ops.where(ops.abs(samples[0, 0]) < 0, 2.0, 1.0)  # see LogMelSpectrogram
        padded = ops.pad(samples, ((0, 0), (_FRAME // 2, _FRAME // 2)), mode="reflect")
        spectrum = ops.conv(
            ops.expand_dims(padded, -1), one * self.waves, strides=_STEP, padding="valid", data_format="channels_last"
        )
        cosines, sines = ops.split(spectrum[:, :-1], 2, axis=-1)
        energy = ops.matmul(ops.square(cosines) + ops.square(sines), one * self.bands)
        logarithm = ops.log(ops.maximum(energy, 1e-10)) / np.log(10).astype("float32")
        largest = ops.max(logarithm, axis=(1, 2), keepdims=True)
        return ops.cast((ops.maximum(logarithm, largest - 8.0) + 4.0) / 4.0, self.compute_dtype)

    def compute_output_shape(self, samples_shape):
        batch, samples = samples_shape
        return (batch, None if samples is None else samples // _STEP, self.mel_bins)

    def get_config(self):
        return {**super().get_config(), "mel_bins": self.mel_bins}


def _make_bands(count):
    """Weights `(frequencies, bands)`: triangles on a scale that is linear up to 1 kHz and logarithmic above, each of
    the same area.
    """
    frequencies = np.fft.rfftfreq(_FRAME, 1 / _SAMPLE_RATE)
    highest = _BREAK + np.log(_SAMPLE_RATE / 2 / 1000) / _LOG_STEP
    mels = np.linspace(0, highest, count + 2)
    edges = np.where(mels < _BREAK, _LINEAR * mels, 1000 * np.exp(_LOG_STEP * (mels - _BREAK)))
    rising = (frequencies[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies[:, None]) / np.diff(edges)[1:]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * 2 / (edges[2:] - edges[:-2])).astype("float32")
