"""Encoders of sound."""

import keras
from keras import ops

from mmkeras.encoders.audio.spectrogram import locate_frames
from mmkeras.encoders.base import Encoder
from mmkeras.layers import BatchNormalization, LogMelSpectrogram
from mmkeras.layers.pooling import average, find_largest


@keras.saving.register_keras_serializable(package="mmkeras")
class AudioCNN(Encoder):
    """A log-mel spectrogram, then convolutions over time.

    Each block halves the time: convolution of 5 steps with stride 2, batch normalization, ReLU. Tokens are the steps
    that are left, 1/8 of those of the spectrogram; the pooled vector is made from their mean and maximum. What follows
    the end of a recording is padding; silence within it is not. Own design.

    Args:
        units: size of the tokens and of the pooled vector.
        filters: one number a block.
        mel_bins: bands of the spectrogram.
        dropout: share of the pooled values that is dropped in training.

    Example:

    >>> audio = mk.Audio(seconds=1, encoder=mk.encoders.AudioCNN(units=8))
    >>> audio.build_encoder("speech").output["tokens"].shape
    (None, 13, 8)
    """

    def __init__(
        self, units: int = 64, filters: tuple[int, ...] = (64, 64, 128), mel_bins: int = 64, dropout: float = 0.3
    ):
        super().__init__(units)
        self.filters = tuple(filters)
        self.mel_bins = mel_bins
        self.dropout = dropout

    def locate(self, preprocessor, cells=None):
        return locate_frames(preprocessor, 2 ** len(self.filters))

    def encode(self, inputs, preprocessor, length):
        spectrogram = LogMelSpectrogram(preprocessor.sample_rate, self.mel_bins, name="log_mel")
        steps, mask = spectrogram(inputs), spectrogram.compute_frame_mask(length, inputs.shape[-1])
        steps = keras.layers.LayerNormalization(name="bands_norm")(steps)
        for block, filters in enumerate(self.filters, 1):
            steps = steps * ops.cast(ops.expand_dims(mask, -1), steps.dtype)
            # Two zeros on both sides: with padding="same", where a step looks would depend on the length.
            steps = keras.layers.ZeroPadding1D(2, "channels_last", name=f"block{block}_pad")(steps)
            steps = keras.layers.Conv1D(
                filters, 5, strides=2, use_bias=False, data_format="channels_last", name=f"block{block}_conv"
            )(steps)
            steps = BatchNormalization(momentum=0.9, name=f"block{block}_norm")(steps)
            steps = keras.layers.ReLU(name=f"block{block}_relu")(steps)
            mask = mask[:, ::2]
        values = ops.concatenate([average(steps, mask), find_largest(steps, mask)], axis=-1)
        values = keras.layers.Dropout(self.dropout, name="dropout")(values)
        tokens = keras.layers.Dense(self.units, name="tokens_dense")(steps)
        return tokens, mask, keras.layers.Dense(self.units, name="pooled_dense")(values)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "mel_bins": self.mel_bins,
            "dropout": self.dropout,
        }
