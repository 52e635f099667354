"""Encoders of token ids."""

import keras
from keras import ops

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.recurrent import read_in_order


@keras.saving.register_keras_serializable(package="mmkeras")
class TextGRU(Encoder):
    """Word pieces read one after the other by a gated recurrent unit (Cho et al., 2014).

    Padding is masked and cannot change the result. The pooled vector is the state after the last word piece.

    Args:
        units: units of the GRU.
        embedding_dim: size of the vectors that stand for the word pieces.
        dropout: share of the embedded inputs that is dropped in training.
        bidirectional: whether another GRU reads them backwards (Schuster and Paliwal, 1997).

    Example:

    >>> tokenizer = mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "red"])
    >>> text = mk.Text(tokenizer, sequence_length=4, encoder=mk.encoders.TextGRU(units=8))
    >>> text.build_encoder("question").output["tokens"].shape
    (None, 4, 8)
    """

    token_per_step = True

    layer = keras.layers.GRU

    def __init__(self, units: int = 64, embedding_dim: int = 64, dropout: float = 0.0, bidirectional: bool = False):
        super().__init__(units)
        self.embedding_dim = embedding_dim
        self.dropout = dropout
        self.bidirectional = bidirectional

    def encode(self, inputs, preprocessor):
        mask = ops.not_equal(inputs, 0)
        embedded = keras.layers.Embedding(len(preprocessor.vocabulary), self.embedding_dim, name="embedding")(inputs)
        tokens, state = read_in_order(embedded, mask, self.units, self.layer, self.dropout, self.bidirectional)
        return tokens, mask, state

    def get_config(self):
        return {
            **super().get_config(),
            "embedding_dim": self.embedding_dim,
            "dropout": self.dropout,
            "bidirectional": self.bidirectional,
        }
