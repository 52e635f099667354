import keras


@keras.saving.register_keras_serializable(package="mmkeras")
class ClassificationHead(keras.layers.Layer):
    """Fused Features to the probability of each class: dense layer with ReLU, dropout, dense layer with softmax.

    Args:
        num_classes: integer.
        hidden_units: units of the first dense layer.
        dropout: share of its outputs that is dropped in training.

    Call arguments:
        features: `Features`; only `pooled` `(batch, units)` is read.

    Output shape: `(batch, num_classes)`, float32, also under mixed precision.

    Example:

    >>> head = mk.heads.ClassificationHead(num_classes=3)
    >>> head({"pooled": np.zeros((2, 8))}).shape.as_list()
    [2, 3]
    """

    def __init__(self, num_classes, hidden_units=64, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.hidden_units = hidden_units
        self.dropout = dropout
        self.hidden = keras.layers.Dense(hidden_units, activation="relu", dtype=self.dtype_policy, name="hidden")
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="dropout")
        self.probabilities = keras.layers.Dense(
            num_classes, activation="softmax", dtype="float32", name="probabilities"
        )

    def build(self, features_shape):
        self.hidden.build(features_shape["pooled"])
        self.probabilities.build((None, self.hidden_units))

    def call(self, features, training=False):
        return self.probabilities(self.drop(self.hidden(features["pooled"]), training=training))

    def compute_output_spec(self, features, training=False):
        return keras.KerasTensor((features["pooled"].shape[0], self.num_classes), dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "hidden_units": self.hidden_units,
            "dropout": self.dropout,
        }
