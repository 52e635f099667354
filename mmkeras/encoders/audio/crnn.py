import keras

from mmkeras.encoders.audio.spectrogram import SpectrogramEncoder, convolve, locate_frames
from mmkeras.encoders.recurrent import heed, read_in_order


@keras.saving.register_keras_serializable(package="mmkeras")
class AudioCRNN(SpectrogramEncoder):
    """A log-mel spectrogram, convolutions over time and frequency, and a GRU that reads it both ways: for speech.

    The first two blocks of convolutions halve time and frequency, the others frequency alone, so that 25 steps are left
    of a second. Tokens are what the GRU says at each; the pooled vector is their mean by attention. Padding is masked.
    In training a span of time and one of frequency are zeroed (`mk.layers.SpectrogramMasking`). Reference: Cakir et
    al., "Convolutional Recurrent Neural Networks for Polyphonic Sound Event Detection" (2017); attention after Yang et
    al. (2016).

    Args:
        units: size of the tokens and of the pooled vector.
        filters: one number a block.
        mel_bins: bands of the spectrogram.
        dropout: share of the GRU's inputs, and of the pooled values, that is dropped in training.
        time_share, band_share: largest shares of time and of frequency that are zeroed in training.

    Example:

    >>> audio = mk.Audio(seconds=1, encoder=mk.encoders.AudioCRNN(units=8))
    >>> audio.build_encoder("speech").output["tokens"].shape
    (None, 25, 8)
    """

    def __init__(
        self,
        units: int = 64,
        filters: tuple[int, ...] = (16, 32, 48),
        mel_bins: int = 64,
        dropout: float = 0.2,
        time_share: float = 0.1,
        band_share: float = 0.15,
    ):
        super().__init__(units, mel_bins, dropout, time_share, band_share)
        self.filters = tuple(filters)

    def locate(self, preprocessor, cells=None):
        return locate_frames(preprocessor, 2 ** min(2, len(self.filters)))

    def encode(self, inputs, preprocessor, length):
        steps, mask = self.hear(inputs, preprocessor, length)
        pools = [(2, 2) if block < 2 else (1, 2) for block in range(len(self.filters))]
        steps, mask = convolve(steps, mask, self.filters, pools)
        tokens, state = read_in_order(steps, mask, self.units, dropout=self.dropout, bidirectional=True)
        return tokens, mask, heed(tokens, mask, state, self.dropout)

    def get_config(self):
        return {**super().get_config(), "filters": list(self.filters)}
