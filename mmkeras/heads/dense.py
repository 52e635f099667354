import keras

from mmkeras.heads.base import Head


@keras.saving.register_keras_serializable(package="mmkeras")
class DenseHead(Head):
    """Features to logits: dense layer with ReLU, dropout, dense layer.

    Args:
        units: how many logits.
        hidden_units: units of the first dense layer; 0 to leave it out, for a linear probe.
        dropout: share of its outputs that is dropped in training.
        source: `"fused"`, or the name of a modality, of which it then takes the Features after the fusion.

    Call arguments:
        features: `Features`; only `pooled` `(batch, dim)` is read.

    Output shape: `(batch, units)`, float32, also under mixed precision.

    Example:

    >>> head = mk.heads.DenseHead(units=3)
    >>> head({"pooled": np.zeros((2, 8))}).shape.as_list()
    [2, 3]
    """

    def __init__(self, units, hidden_units=64, dropout=0.0, source="fused", **kwargs):
        super().__init__(units, hidden_units, dropout, **kwargs)
        self.source = source
        self.logits = keras.layers.Dense(units, dtype="float32", name="logits")

    def build(self, features_shape):
        self.hidden.build(features_shape["pooled"])
        self.logits.build((None, self.hidden_units or features_shape["pooled"][-1]))

    def call(self, features, training=False):
        return self.logits(self.drop(self.hidden(features["pooled"]), training=training))

    def compute_output_spec(self, features, training=False):
        return keras.KerasTensor((features["pooled"].shape[0], self.units), dtype="float32")

    def get_config(self):
        return {**super().get_config(), "source": self.source}
