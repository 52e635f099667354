"""Where in a sequence a token stands."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector to each index of a sequence, so that attention can tell positions apart.

    Reference: Gehring et al., "Convolutional Sequence to Sequence Learning" (2017).

    Call arguments:
        tokens: float tensor `(batch, length, units)`, with a fixed length.

    Output shape: as `tokens`.

    Example:

    >>> PositionEmbedding()(np.zeros((2, 3, 4))).shape.as_list()
    [2, 3, 4]
    """

    def build(self, tokens_shape):
        self.embedding = self.add_weight(shape=tokens_shape[1:], initializer="random_normal", name="embedding")

    def call(self, tokens):
        return tokens + ops.cast(self.embedding, tokens.dtype)
