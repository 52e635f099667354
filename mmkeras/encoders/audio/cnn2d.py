import keras
from keras import ops

from mmkeras.encoders.audio.spectrogram import SpectrogramEncoder, convolve, locate_frames
from mmkeras.layers.pooling import average, find_largest


@keras.saving.register_keras_serializable(package="mmkeras")
class AudioCNN2D(SpectrogramEncoder):
    """A log-mel spectrogram, seen as an image: convolutions over time and frequency.

    Each block halves both: convolution 3x3, batch normalization, ReLU, the largest of each 2x2. Tokens are the steps
    of time that are left; the pooled vector is made from their mean and maximum. Padding is masked. In training a span
    of time and one of frequency are zeroed (`mk.layers.SpectrogramMasking`), and the recording begins anywhere
    (`mk.layers.SpectrogramRolling`). Own design, after Hershey et al., "CNN
    Architectures for Large-Scale Audio Classification" (2017).

    Args:
        units: size of the tokens and of the pooled vector.
        filters: one number a block.
        mel_bins: bands of the spectrogram.
        dropout: share of the pooled values that is dropped in training.
        time_share, band_share: largest shares of time and of frequency that are zeroed in training.
        rolls: whether a recording begins anywhere in training; False where the order of its parts matters.

    Example:

    >>> audio = mk.Audio(seconds=1, encoder=mk.encoders.AudioCNN2D(units=8))
    >>> audio.build_encoder("siren").output["tokens"].shape
    (None, 7, 8)
    """

    def __init__(
        self,
        units: int = 64,
        filters: tuple[int, ...] = (16, 32, 64, 96),
        mel_bins: int = 64,
        dropout: float = 0.3,
        time_share: float = 0.1,
        band_share: float = 0.15,
        rolls: bool = True,
    ):
        super().__init__(units, mel_bins, dropout, time_share, band_share)
        self.filters = tuple(filters)
        self.rolls = rolls

    def locate(self, preprocessor, cells=None):
        return locate_frames(preprocessor, 2 ** len(self.filters))

    def encode(self, inputs, preprocessor, length):
        steps, mask = self.hear(inputs, preprocessor, length, self.rolls)
        steps, mask = convolve(steps, mask, self.filters, [(2, 2)] * len(self.filters))
        values = ops.concatenate([average(steps, mask), find_largest(steps, mask)], axis=-1)
        values = keras.layers.Dropout(self.dropout, name="dropout")(values)
        tokens = keras.layers.Dense(self.units, name="tokens_dense")(steps)
        return tokens, mask, keras.layers.Dense(self.units, name="pooled_dense")(values)

    def get_config(self):
        return {**super().get_config(), "filters": list(self.filters), "rolls": self.rolls}
