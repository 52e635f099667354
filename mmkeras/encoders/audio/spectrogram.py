"""What encoders of spectrograms as images have in common."""

import keras
from keras import ops

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.masking import clear
from mmkeras.layers import BatchNormalization, LogMelSpectrogram, SpectrogramMasking, SpectrogramRolling
from mmkeras.preprocessing import Places, Preprocessor
from mmkeras.preprocessing.places import cut_evenly


class SpectrogramEncoder(Encoder):
    """Base of the encoders that see a log-mel spectrogram as an image.

    Args:
        units: size of the tokens and of the pooled vector.
        mel_bins: bands of the spectrogram.
        dropout: share of the values that is dropped in training; where, the subclass says.
        time_share, band_share: largest shares of time and of frequency that are zeroed in training.
    """

    def __init__(
        self,
        units: int = 64,
        mel_bins: int = 64,
        dropout: float = 0.3,
        time_share: float = 0.1,
        band_share: float = 0.15,
    ):
        super().__init__(units)
        self.mel_bins = mel_bins
        self.dropout = dropout
        self.time_share = time_share
        self.band_share = band_share

    def hear(self, samples, preprocessor, length, rolls: bool = False):
        """The log-mel spectrogram `(batch, steps, mel_bins)`, with mean 0 and variance 1 in each band, and its mask.

        Mean and variance of the bands are learned from the data (Ioffe and Szegedy, 2015). In training a span of time
        and one of the bands are zeroed; where it `rolls`, it begins anywhere (`mk.layers.SpectrogramRolling`).
        """
        spectrogram = LogMelSpectrogram(preprocessor.sample_rate, self.mel_bins, name="log_mel")
        steps, mask = spectrogram(samples), spectrogram.compute_frame_mask(length, samples.shape[-1])
        steps = BatchNormalization(momentum=0.9, name="bands_norm")(steps, mask=mask)
        if rolls:
            steps = SpectrogramRolling(name="spectrogram_rolling")(steps, mask)
        steps = SpectrogramMasking(self.time_share, self.band_share, name="spectrogram_masking")(steps, mask)
        return clear(steps, mask), mask

    def get_config(self):
        return {
            **super().get_config(),
            "mel_bins": self.mel_bins,
            "dropout": self.dropout,
            "time_share": self.time_share,
            "band_share": self.band_share,
        }


def convolve(steps, mask, filters, pools):
    """Blocks of a convolution 3x3 over time and bands, batch normalization, ReLU, and the largest of each few values.

    Args:
        steps: `(batch, steps, bands)`; padding is zero.
        mask: bool `(batch, steps)`.
        filters: one number a block.
        pools: for each block how many steps and bands become one.

    Returns: steps `(batch, fewer steps, values)`, zero in the padding, and their mask.
    """
    maps = ops.expand_dims(steps, -1)
    for block, (count, (time, bands)) in enumerate(zip(filters, pools, strict=True), 1):
        maps = keras.layers.Conv2D(
            count, 3, padding="same", use_bias=False, data_format="channels_last", name=f"block{block}_conv"
        )(maps)
        maps = BatchNormalization(momentum=0.9, name=f"block{block}_norm")(maps)
        maps = clear(keras.layers.ReLU(name=f"block{block}_relu")(maps), mask)
        maps = keras.layers.MaxPooling2D(
            (time, bands), padding="same", data_format="channels_last", name=f"block{block}_pool"
        )(maps)
        mask = mask[:, ::time]
    return keras.layers.Reshape((maps.shape[1], -1), name="steps")(maps), mask


def locate_frames(preprocessor: Preprocessor, frames: int, repeats: int = 1) -> Places:
    """Where tokens of so many frames of the spectrogram lie, in seconds.

    Args:
        preprocessor: of the sound.
        frames: how many of them a token stands for.
        repeats: tokens that follow each other at the same time.
    """
    spectrogram = LogMelSpectrogram(preprocessor.sample_rate)
    samples = preprocessor.shape[0]
    count = -(-spectrogram.compute_output_shape((None, samples))[1] // frames)
    rate = preprocessor.sample_rate
    return cut_evenly("seconds", samples / rate, frames * spectrogram.frame_step / rate, count, repeats)
