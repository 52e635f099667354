"""From the items of a history to one vector each."""

import keras
from keras import ops

from mmkeras.preprocessing.history import GAP_BUCKETS, PADDING


def embed_items(inputs, preprocessor, embedding_dim: int):
    """Learned vectors `(batch, items, embedding_dim)` of the items and of the gaps before them, and their mask."""
    ids, gaps = inputs[..., 0], inputs[..., 1]
    items = keras.layers.Embedding(len(preprocessor.items) + 2, embedding_dim, name="items")(ids)
    embedded = items + keras.layers.Embedding(GAP_BUCKETS, embedding_dim, name="gaps")(gaps)
    return embedded, ops.not_equal(ids, PADDING)


def find_last(mask):
    """Which item is the last of each row, bool `(batch, items)`; padding, False in the mask, comes behind it."""
    follows = ops.concatenate([mask[:, 1:], ops.zeros_like(mask[:, :1])], axis=1)
    return ops.logical_and(mask, ops.logical_not(follows))


def choose_one(items, is_chosen):
    """Of items `(batch, items, dim)` the one that is chosen; zeros where none is."""
    return ops.sum(items * ops.cast(ops.expand_dims(is_chosen, -1), items.dtype), axis=1)
