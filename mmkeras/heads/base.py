import keras


class Head(keras.layers.Layer):
    """Base of the heads: their dense layer with ReLU, their dropout and their arguments. See `DenseHead` for these."""

    def __init__(self, units, hidden_units=64, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden_units = hidden_units
        self.dropout = dropout
        dense = keras.layers.Dense(hidden_units or 1, activation="relu", dtype=self.dtype_policy, name="hidden")
        self.hidden = dense if hidden_units else keras.layers.Identity(dtype=self.dtype_policy, name="hidden")
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="dropout")

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "hidden_units": self.hidden_units,
            "dropout": self.dropout,
        }
