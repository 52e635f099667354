import keras


class Head(keras.layers.Layer):
    """Base of the heads: their dense layer with ReLU, their dropout and their arguments. See `DenseHead` for these.

    Attributes:
        source: what it reads: `"fused"`, `"all"` that a backbone gives, or the name of an input.
        feature_keys: which of the Features.
        per_token: whether it gives logits for each token of its source, `(batch, length, units)`, and not for the row,
            `(batch, units)`. Decision-level fusions refuse such heads, and losses of single modalities leave them out.
    """

    source = "fused"
    feature_keys = ("pooled",)
    per_token = False

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
