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
