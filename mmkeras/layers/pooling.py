"""Many tokens to one vector, without those of padding."""

import keras
import tensorflow as tf
from keras import ops


def average(tokens, mask):
    """The mean of the tokens `(batch, length, units)` where the mask is True, 0 where it is nowhere."""
    weights = ops.cast(ops.expand_dims(mask, -1), tokens.dtype)
    return ops.sum(tokens * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1)


def find_largest(tokens, mask):
    """The largest value of each unit where the mask is True, of tokens that are nowhere below 0."""
    return ops.max(tokens * ops.cast(ops.expand_dims(mask, -1), tokens.dtype), axis=1)


def find_last(tokens, mask):
    """The last token where the mask, True from the beginning on, is True; 0 where it is nowhere."""
    count = ops.sum(ops.cast(mask, "int32"), axis=1, keepdims=True)
    is_last = ops.equal(ops.arange(tokens.shape[1], dtype="int32"), count - 1)
    return ops.sum(tokens * ops.cast(ops.expand_dims(is_last, -1), tokens.dtype), axis=1)


@keras.saving.register_keras_serializable(package="mmkeras")
class AttentionPooling(keras.layers.Layer):
    """The tokens weighed by what is in them: `sum_t a_t x_t`, `a = softmax_t(v tanh(W x_t))`, without those of padding.

    Reference: Yang et al., "Hierarchical Attention Networks for Document Classification" (2016), equations 5 to 7.

    Args:
        units: size of the hidden layer.

    Call arguments:
        tokens: `(batch, length, dim)`.
        token_mask: bool `(batch, length)`.

    Output shape: `(batch, dim)`.

    Example:

    >>> tokens = np.array([[[1.0], [5.0]]])
    >>> AttentionPooling(units=2)(tokens, np.array([[True, False]])).numpy().tolist()
    [[1.0]]
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.hidden = keras.layers.Dense(units, activation="tanh", dtype=self.dtype_policy, name="hidden")
        self.score = keras.layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")
        self.supports_masking = True

    def build(self, tokens_shape, token_mask_shape=None):
        self.hidden.build(tokens_shape)
        self.score.build((*tokens_shape[:-1], self.units))

    def call(self, tokens, token_mask):
        scores = ops.cast(self.score(self.hidden(tokens))[..., 0], "float32")
        weights = tf.nn.softmax(ops.where(token_mask, scores, -1e9), axis=1)  # Keras's warns where there is one token
        return ops.sum(tokens * ops.cast(ops.expand_dims(weights, -1), tokens.dtype), axis=1)

    def compute_mask(self, *args, **kwargs):
        return None

    def compute_output_shape(self, tokens_shape, token_mask_shape=None):
        return (tokens_shape[0], tokens_shape[-1])

    def get_config(self):
        return {**super().get_config(), "units": self.units}
