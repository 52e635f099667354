import keras
from keras import ops

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.history.items import choose_one, embed_items, find_last


@keras.saving.register_keras_serializable(package="mmkeras")
class HistoryDIN(Encoder):
    """What a history says of its last item: the candidate that may be shown, bought or read next.

    Each earlier item e weighs `w = v relu(W [e, c, e * c, e - c])` for the candidate c, which has the vocabulary and
    the vectors of the history; the interest is `sum_t w_t e_t`, without a softmax, so that its size tells how much
    there is. The pooled vector is made of the interest, the candidate and their product. Append the candidate to the
    items of a row, in training and when it is asked for. The order of the earlier items is not seen, the gaps between
    them are. Reference: Zhou et al., "Deep Interest Network for Click-Through Rate Prediction" (2018), with ReLU for
    their Dice.

    Args:
        units: size of the tokens and of the pooled vector.
        embedding_dim: size of the vectors that stand for items.
        dropout: share of the pooled values that is dropped in training.

    Example:

    >>> clicks = mk.History(sequence_length=4, items=["tea", "cup"], encoder=mk.encoders.HistoryDIN(units=8))
    >>> clicks.build_encoder("clicks").output["tokens"].shape
    (None, 4, 8)
    """

    token_per_step = True

    def __init__(self, units: int = 64, embedding_dim: int = 64, dropout: float = 0.1):
        super().__init__(units)
        self.embedding_dim = embedding_dim
        self.dropout = dropout

    def encode(self, inputs, preprocessor):
        items, mask = embed_items(inputs, preprocessor, self.embedding_dim)
        is_candidate = find_last(mask)
        candidate = choose_one(items, is_candidate)
        repeated = ops.expand_dims(candidate, 1) * ops.ones_like(items[:, :, :1])
        compared = ops.concatenate([items, repeated, items * repeated, items - repeated], axis=-1)
        hidden = keras.layers.Dense(self.units, activation="relu", name="attention_hidden")(compared)
        weights = keras.layers.Dense(1, name="attention_weight")(hidden)
        is_past = ops.logical_and(mask, ops.logical_not(is_candidate))
        interest = ops.sum(items * weights * ops.cast(ops.expand_dims(is_past, -1), items.dtype), axis=1)
        values = ops.concatenate([interest, candidate, interest * candidate], axis=-1)
        values = keras.layers.Dropout(self.dropout, name="dropout")(values)
        values = keras.layers.Dense(self.units, activation="relu", name="pooled_hidden")(values)
        tokens = keras.layers.Dense(self.units, name="tokens_dense")(hidden)
        return tokens, mask, keras.layers.Dense(self.units, name="pooled_dense")(values)

    def get_config(self):
        return {**super().get_config(), "embedding_dim": self.embedding_dim, "dropout": self.dropout}
