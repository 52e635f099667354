import keras
from keras import ops

from mmkeras.encoders.attention import AttentionEncoder
from mmkeras.layers.pooling import average


@keras.saving.register_keras_serializable(package="mmkeras")
class TextTransformer(AttentionEncoder):
    """Word pieces that attend to each other, and know each other's place by a learned vector or by their distance.

    `num_layers` blocks of self-attention (`mk.layers.AttentionBlock`); the pooled vector is made of the mean of their
    tokens. Padding is masked out of attention and of the mean. Reference: Vaswani et al., "Attention Is All You Need"
    (2017).

    Args:
        units: size of the vectors of word pieces, of the tokens, and of the pooled vector.
        num_layers: blocks.
        num_heads: attention heads; divides `units`.
        dropout: share of the embedded inputs and of the attention weights that is dropped in training.
        positions: `"learned"`, a vector for each place; or `"rotary"`, distances (`mk.layers.RotaryAttention`).

    Example:

    >>> tokenizer = mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "red"])
    >>> text = mk.Text(tokenizer, sequence_length=4, encoder=mk.encoders.TextTransformer(units=8))
    >>> text.build_encoder("question").output["tokens"].shape
    (None, 4, 8)
    """

    token_per_step = True

    def __init__(
        self,
        units: int = 64,
        num_layers: int = 2,
        num_heads: int = 4,
        dropout: float = 0.1,
        positions: str = "learned",
    ):
        super().__init__(units, num_layers, num_heads, dropout)
        self.positions = positions

    def encode(self, inputs, preprocessor):
        mask = ops.not_equal(inputs, 0)
        tokens = keras.layers.Embedding(len(preprocessor.vocabulary), self.units, name="embedding")(inputs)
        tokens = self.attend(tokens, mask, positions=self.positions)
        return tokens, mask, keras.layers.Dense(self.units, name="pooled_dense")(average(tokens, mask))

    def get_config(self):
        return {**super().get_config(), "positions": self.positions}
