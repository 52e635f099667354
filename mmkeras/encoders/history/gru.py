"""Encoders of behavior histories."""

import keras

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.history.items import embed_items
from mmkeras.encoders.recurrent import read_in_order


@keras.saving.register_keras_serializable(package="mmkeras")
class HistoryGRU(Encoder):
    """Items, each with the gap before it, read one after the other by a gated recurrent unit.

    The pooled vector is the state after the last item. Reference: Hidasi et al., "Session-based Recommendations with
    Recurrent Neural Networks" (2015); the embedding of gaps is our own.

    Args:
        units: units of the GRU.
        embedding_dim: size of the vectors that stand for items.
        dropout: share of the embedded inputs that is dropped in training.

    Example:

    >>> clicks = mk.History(sequence_length=4, items=["tea", "cup"], encoder=mk.encoders.HistoryGRU(units=8))
    >>> clicks.build_encoder("clicks").output["tokens"].shape
    (None, 4, 8)
    """

    token_per_step = True

    def __init__(self, units: int = 64, embedding_dim: int = 64, dropout: float = 0.0):
        super().__init__(units)
        self.embedding_dim = embedding_dim
        self.dropout = dropout

    def encode(self, inputs, preprocessor):
        embedded, mask = embed_items(inputs, preprocessor, self.embedding_dim)
        tokens, state = read_in_order(embedded, mask, self.units, dropout=self.dropout)
        return tokens, mask, state

    def get_config(self):
        return {**super().get_config(), "embedding_dim": self.embedding_dim, "dropout": self.dropout}
