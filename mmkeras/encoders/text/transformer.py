import keras
from keras import ops

from mmkeras.encoders.attention import AttentionEncoder
from mmkeras.layers.pooling import average


@keras.saving.register_keras_serializable(package="mmkeras")
class TextTransformer(AttentionEncoder):
    """Word pieces that attend to each other, with a learned vector for the place of each.

    `num_layers` blocks of self-attention (`mk.layers.AttentionBlock`); the pooled vector is made of the mean of their
    tokens. Padding is masked out of attention and of the mean. Reference: Vaswani et al., "Attention Is All You Need"
    (2017).

    Args:
        units: size of the vectors of word pieces, of the tokens, and of the pooled vector.
        num_layers: blocks.
        num_heads: attention heads; divides `units`.
        dropout: share of the embedded inputs and of the attention weights that is dropped in training.

    Example:

    >>> tokenizer = mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "red"])
    >>> text = mk.Text(tokenizer, sequence_length=4, encoder=mk.encoders.TextTransformer(units=8))
    >>> text.build_encoder("question").output["tokens"].shape
    (None, 4, 8)
    """

    def encode(self, inputs, preprocessor):
        mask = ops.not_equal(inputs, 0)
        tokens = keras.layers.Embedding(len(preprocessor.vocabulary), self.units, name="embedding")(inputs)
        tokens = self.attend(tokens, mask)
        return tokens, mask, keras.layers.Dense(self.units, name="pooled_dense")(average(tokens, mask))
