"""Numbers and categories to vectors."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class FeatureTokenizer(keras.layers.Layer):
    """Numbers and categories to one vector each: `value * weight + bias`, or the embedding of the category.

    A number with edges adds `sum_t piece_t * weight_t`, where `piece_t` says how far it has come from edge t to the
    next, from 0 to 1: a function of it that bends at each edge. A missing value adds a learned vector of its own.
    References: Gorishniy et al., "Revisiting Deep Learning Models for Tabular Data" (2021), section 3.3, and "On
    Embeddings for Numerical Features in Tabular Deep Learning" (2022), equation 1; the vectors of missing values are
    our own.

    Args:
        cardinalities: for each feature how many categories it has, the unknown one included; 0 for a number.
        units: size of the vectors.
        edges: for each feature numbers, rising; fewer than two for none.

    Call arguments:
        features: float32 tensor `(batch, features, 2)`: value or index of the category, and 1 where it is missing.

    Output shape: `(batch, features, units)`.

    Example:

    >>> FeatureTokenizer([0, 3], 4)(np.zeros((2, 2, 2))).shape.as_list()
    [2, 2, 4]
    """

    def __init__(self, cardinalities, units, edges=None, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.cardinalities = list(cardinalities)
        self.units = units
        self.edges = [list(numbers) for numbers in edges or [()] * len(self.cardinalities)]
        if len(self.edges) != len(self.cardinalities):
            raise ValueError(
                "`edges` has a list of numbers for each feature. "
                f"Received: {len(self.edges)} lists, {len(self.cardinalities)} features"
            )

    def build(self, features_shape):
        shape = (len(self.cardinalities), self.units)
        self.weight = self.add_weight(shape=shape, initializer="glorot_uniform", name="weight")
        self.bias = self.add_weight(shape=shape, initializer="random_normal", name="bias")
        self.missing = self.add_weight(shape=shape, initializer="random_normal", name="missing")
        self.binned = [index for index, numbers in enumerate(self.edges) if len(numbers) > 1]
        if self.binned:
            self.lower, self.width = _pad_bins([self.edges[index] for index in self.binned])
            self.pieces = self.add_weight(
                shape=(*self.lower.shape, self.units), initializer="glorot_uniform", name="pieces"
            )
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
        if self.binned:
            tokens = tokens + self._place(features[..., 0], 1 - features[..., 1])
        return tokens

    def _place(self, values, present):
        """What the pieces of the numbers with edges add to the tokens."""
        values, present = (ops.expand_dims(ops.take(part, self.binned, axis=1), -1) for part in (values, present))
        pieces = ops.clip((values - self.lower) / self.width, 0.0, 1.0) * present
        pieces = ops.cast(ops.transpose(pieces, (1, 0, 2)), self.compute_dtype)
        added = ops.transpose(ops.matmul(pieces, ops.cast(self.pieces, self.compute_dtype)), (1, 0, 2))
        # Back to where the features are: zeros for the others.
        rows = [self.binned.index(i) if i in self.binned else len(self.binned) for i in range(len(self.cardinalities))]
        return ops.take(ops.pad(added, ((0, 0), (0, 1), (0, 0))), rows, axis=1)

    def compute_output_shape(self, features_shape):
        return (*features_shape[:-1], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "cardinalities": self.cardinalities,
            "units": self.units,
            "edges": self.edges,
        }


def _pad_bins(edges):
    """Lower end and width of each bin, float32 `(features, bins)`; bins that a feature lacks lie beyond all numbers."""
    count = max(map(len, edges)) - 1
    lower, width = np.full((len(edges), count), 3e38, "float32"), np.ones((len(edges), count), "float32")
    for row, numbers in enumerate(edges):
        lower[row, : len(numbers) - 1] = numbers[:-1]
        width[row, : len(numbers) - 1] = np.diff(numbers)
    return lower, width
