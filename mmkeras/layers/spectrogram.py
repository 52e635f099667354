"""Samples to bands of frequencies over time."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class LogMelSpectrogram(keras.layers.Layer):
    """Samples to the logarithm of the energy in bands of the mel scale, `log(energy + 1e-6)`.

    Frames of 25 ms, one every 10 ms, under a Hann window; their Fourier transform is a convolution, so that the layer
    can be exported to TFLite and ONNX. Equals `tf.signal.stft`, squared, times `tf.signal.linear_to_mel_weight_matrix`.

    Args:
        sample_rate: of the samples, in hertz.
        mel_bins: number of bands.
        lowest: lower edge of the first band, in hertz.
        highest: upper edge of the last band, in hertz; None for half of `sample_rate`.

    Call arguments:
        samples: float tensor `(batch, samples)`, in [-1, 1].

    Output shape: `(batch, frames, mel_bins)`.

    Example:

    >>> LogMelSpectrogram(16000)(np.zeros((1, 16000))).shape.as_list()
    [1, 98, 64]
    """

    def __init__(self, sample_rate, mel_bins=64, lowest=60.0, highest=None, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.sample_rate = sample_rate
        self.mel_bins = mel_bins
        self.lowest = lowest
        self.highest = highest
        self.frame_length = round(0.025 * sample_rate)
        self.frame_step = round(0.01 * sample_rate)
        self.fft_length = 2 ** (self.frame_length - 1).bit_length()

    def build(self, samples_shape):
        if samples_shape[-1] is not None and samples_shape[-1] < self.frame_length:
            raise ValueError(
                f"LogMelSpectrogram needs at least {self.frame_length} samples (25 ms). "
                f"Received: samples_shape={tuple(samples_shape)}"
            )
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.frame_length) / self.frame_length)
        angles = (
            2 * np.pi * np.outer(np.arange(self.frame_length), np.arange(self.fft_length // 2 + 1)) / self.fft_length
        )
        waves = window[:, None] * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        self.waves = waves[:, None, :].astype("float32")
        highest = self.highest or self.sample_rate / 2
        with tf.init_scope():  # also where a graph is being traced
            self.bands = tf.signal.linear_to_mel_weight_matrix(
                self.mel_bins, self.fft_length // 2 + 1, self.sample_rate, self.lowest, highest
            ).numpy()

    def call(self, samples):
        samples = ops.expand_dims(ops.cast(samples, "float32"), -1)
        # Always 1, also where a sample is NaN or there is no row, but no constant: the weights would be quantized with
        # it, and the spectrum has to stay exact.
        one = ops.where(ops.sum(ops.abs(samples[:1, 0, 0])) < 0, 2.0, 1.0)
        spectrum = ops.conv(
            samples, one * self.waves, strides=self.frame_step, padding="valid", data_format="channels_last"
        )
        cosines, sines = ops.split(spectrum, 2, axis=-1)
        energy = ops.matmul(ops.square(cosines) + ops.square(sines), one * self.bands)
        return ops.cast(ops.log(energy + 1e-6), self.compute_dtype)

    def compute_frame_mask(self, length, samples):
        """Bool tensor `(batch, frames)`: False for frames that begin behind the recording; the first is True.

        Args:
            length: int tensor `(batch,)`, how many samples are real.
            samples: how many there are with those that follow.
        """
        frames = self.compute_output_shape((None, samples))[1]
        begins = ops.arange(frames, dtype="int32") * self.frame_step
        return ops.less(begins, ops.maximum(ops.expand_dims(length, -1), 1))

    def compute_output_shape(self, samples_shape):
        batch, samples = samples_shape
        return (batch, None if samples is None else 1 + (samples - self.frame_length) // self.frame_step, self.mel_bins)

    def get_config(self):
        return {
            **super().get_config(),
            "sample_rate": self.sample_rate,
            "mel_bins": self.mel_bins,
            "lowest": self.lowest,
            "highest": self.highest,
        }
