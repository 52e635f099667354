"""Numbers and categories to vectors."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class FeatureTokenizer(keras.layers.Layer):
    """Numbers and categories to one vector each: `value * weight + bias`, or the embedding of the category.

    A missing value adds a learned vector of its own. Reference: Gorishniy et al., "Revisiting Deep Learning Models for
    Tabular Data" (2021), section 3.3; the vectors of missing values are our own.

    Args:
        cardinalities: for each feature how many categories it has, the unknown one included; 0 for a number.
        units: size of the vectors.

    Call arguments:
        features: float32 tensor `(batch, features, 2)`: value or index of the category, and 1 where it is missing.

    Output shape: `(batch, features, units)`.

    Example:

    >>> FeatureTokenizer([0, 3], 4)(np.zeros((2, 2, 2))).shape.as_list()
    [2, 2, 4]
    """

    def __init__(self, cardinalities, units, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.cardinalities = list(cardinalities)
        self.units = units

    def build(self, features_shape):
        shape = (len(self.cardinalities), self.units)
        self.weight = self.add_weight(shape=shape, initializer="glorot_uniform", name="weight")
        self.bias = self.add_weight(shape=shape, initializer="random_normal", name="bias")
        self.missing = self.add_weight(shape=shape, initializer="random_normal", name="missing")
        if any(self.cardinalities):
            # The categories of all features, one after the other, in one table.
            self.offsets = np.cumsum([0, *self.cardinalities[:-1]]).astype("int32")
            self.embedding = self.add_weight(
                shape=(sum(self.cardinalities), self.units), initializer="random_normal", name="embedding"
            )

    def call(self, features):
        indices = ops.cast(features[..., 0], "int32")  # before low precision makes neighbors of them one
        values, missing = ops.split(ops.cast(features, self.compute_dtype), 2, axis=-1)
        is_category = np.array(self.cardinalities, bool)[:, None]
        tokens = values * ops.where(is_category, 0.0, ops.cast(self.weight, values.dtype))
        tokens = tokens + ops.cast(self.bias, values.dtype) + missing * ops.cast(self.missing, values.dtype)
        if any(self.cardinalities):
            indices = ops.where(is_category[:, 0], indices + self.offsets, 0)
            embedded = ops.cast(ops.take(self.embedding, indices, axis=0), values.dtype)
            tokens = tokens + ops.where(is_category, embedded, 0.0)
        return tokens

    def compute_output_shape(self, features_shape):
        return (*features_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "cardinalities": self.cardinalities, "units": self.units}
