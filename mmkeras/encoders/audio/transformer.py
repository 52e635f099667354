import keras
from keras import ops

from mmkeras.encoders.attention import attend
from mmkeras.encoders.audio.spectrogram import SpectrogramEncoder, locate_frames
from mmkeras.layers.pooling import average

_PATCH = 16  # steps and bands


@keras.saving.register_keras_serializable(package="mmkeras")
class AudioTransformer(SpectrogramEncoder):
    """Patches of a log-mel spectrogram that attend to each other, each with a learned vector for its place.

    A patch of 16 steps (160 ms) and 16 bands is a token; the pooled vector is made of their mean. Padding is masked. It
    needs more recordings than the others to learn as much. Reference: Gong et al., "AST: Audio Spectrogram Transformer"
    (2021), without overlap of the patches, and with the mean of the tokens for their class token.

    Args:
        units: size of the tokens and of the pooled vector.
        num_layers: blocks.
        num_heads: attention heads; divides `units`.
        mel_bins: bands of the spectrogram.
        dropout: share of the tokens' values and of the attention weights that is dropped in training.
        time_share, band_share: largest shares of time and of frequency that are zeroed in training.

    Example:

    >>> audio = mk.Audio(seconds=1, encoder=mk.encoders.AudioTransformer(units=8))
    >>> audio.build_encoder("siren").output["tokens"].shape
    (None, 28, 8)
    """

    def __init__(
        self,
        units: int = 64,
        num_layers: int = 2,
        num_heads: int = 4,
        mel_bins: int = 64,
        dropout: float = 0.1,
        time_share: float = 0.1,
        band_share: float = 0.15,
    ):
        super().__init__(units, mel_bins, dropout, time_share, band_share)
        self.num_layers = num_layers
        self.num_heads = num_heads

    def locate(self, preprocessor, cells=None):
        return locate_frames(preprocessor, _PATCH, self.mel_bins // _PATCH)

    def encode(self, inputs, preprocessor, length):
        steps, mask = self.hear(inputs, preprocessor, length)
        # Patches begin with the recording, whatever follows it.
        missing = -steps.shape[1] % _PATCH
        steps = keras.layers.ZeroPadding1D((0, missing), "channels_last", name="pad")(steps)
        patches = keras.layers.Conv2D(self.units, _PATCH, strides=_PATCH, data_format="channels_last", name="patches")(
            ops.expand_dims(steps, -1)
        )
        tokens = keras.layers.Reshape((-1, self.units), name="tokens_flat")(patches)
        mask = ops.repeat(mask[:, ::_PATCH], patches.shape[2], axis=1)
        tokens = attend(tokens, mask, self.num_layers, self.num_heads, self.dropout)
        return tokens, mask, keras.layers.Dense(self.units, name="pooled_dense")(average(tokens, mask))

    def get_config(self):
        return {**super().get_config(), "num_layers": self.num_layers, "num_heads": self.num_heads}
