import keras
from keras import ops

from mmkeras.encoders.base import Encoder
from mmkeras.layers.pooling import find_largest


@keras.saving.register_keras_serializable(package="mmkeras")
class TextCNN(Encoder):
    """Convolutions over neighboring word pieces; the largest value of each filter in the text is what counts.

    `p_k = max_t relu(conv_k(x))_t` for each width k; the pooled vector is made of all of them, the tokens of the
    convolutions at each word piece. Padding is masked. Reference: Kim, "Convolutional Neural Networks for Sentence
    Classification" (2014).

    Args:
        units: size of the tokens and of the pooled vector.
        embedding_dim: size of the vectors that stand for the word pieces.
        filters: of each width.
        widths: how many word pieces a convolution sees.
        dropout: share of the pooled values that is dropped in training.

    Example:

    >>> tokenizer = mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "red"])
    >>> text = mk.Text(tokenizer, sequence_length=4, encoder=mk.encoders.TextCNN(units=8))
    >>> text.build_encoder("question").output["tokens"].shape
    (None, 4, 8)
    """

    token_per_step = True

    def __init__(
        self,
        units: int = 64,
        embedding_dim: int = 64,
        filters: int = 64,
        widths: tuple[int, ...] = (3, 4, 5),
        dropout: float = 0.5,
    ):
        super().__init__(units)
        self.embedding_dim = embedding_dim
        self.filters = filters
        self.widths = tuple(widths)
        self.dropout = dropout

    def encode(self, inputs, preprocessor):
        mask = ops.not_equal(inputs, 0)
        embedded = keras.layers.Embedding(len(preprocessor.vocabulary), self.embedding_dim, name="embedding")(inputs)
        embedded = embedded * ops.cast(ops.expand_dims(mask, -1), embedded.dtype)
        found = []
        for width in self.widths:
            padding = keras.layers.ZeroPadding1D(((width - 1) // 2, width // 2), "channels_last", name=f"pad_{width}")
            convolution = keras.layers.Conv1D(
                self.filters, width, activation="relu", data_format="channels_last", name=f"conv_{width}"
            )
            found.append(convolution(padding(embedded)))
        steps = ops.concatenate(found, axis=-1)
        values = keras.layers.Dropout(self.dropout, name="dropout")(find_largest(steps, mask))
        tokens = keras.layers.Dense(self.units, name="tokens_dense")(steps)
        return tokens, mask, keras.layers.Dense(self.units, name="pooled_dense")(values)

    def get_config(self):
        return {
            **super().get_config(),
            "embedding_dim": self.embedding_dim,
            "filters": self.filters,
            "widths": list(self.widths),
            "dropout": self.dropout,
        }
