"""Encoders of the columns of a table."""

import keras
from keras import ops

from mmkeras.encoders.base import Encoder
from mmkeras.layers import FeatureTokenizer


@keras.saving.register_keras_serializable(package="mmkeras")
class TabularMLP(Encoder):
    """One token a feature; a perceptron with one hidden layer over all of them gives the pooled vector.

    Args:
        units: size of the tokens, of the hidden layer, and of the pooled vector.
        dropout: share of the tokens' values and of the hidden units that is dropped in training. With less, it learns
            some thousand rows by heart.

    Example:

    >>> encoder = mk.encoders.TabularMLP(units=8)
    >>> profile = mk.Tabular(numbers=["age"], statistics={"age": (40, 15)}, vocabularies={}, encoder=encoder)
    >>> profile.build_encoder("profile").output["tokens"].shape
    (None, 1, 8)
    """

    token_per_step = True

    def __init__(self, units: int = 64, dropout: float = 0.5):
        super().__init__(units)
        self.dropout = dropout

    def encode(self, inputs, preprocessor):
        tokens = FeatureTokenizer(preprocessor.cardinalities, self.units, preprocessor.edges, name="tokenizer")(inputs)
        dropout = keras.layers.Dropout(self.dropout, name="dropout")
        values = keras.layers.Flatten("channels_last", name="flatten")(dropout(tokens))
        hidden = dropout(keras.layers.Dense(self.units, "relu", name="hidden")(values))
        pooled = keras.layers.Dense(self.units, name="pooled_dense")(hidden)
        return tokens, ops.ones_like(tokens[:, :, 0], dtype="bool"), pooled

    def get_config(self):
        return {**super().get_config(), "dropout": self.dropout}
