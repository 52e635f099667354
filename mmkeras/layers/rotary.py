"""Attention that knows how far apart two tokens are."""

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class RotaryAttention(keras.layers.MultiHeadAttention):
    """Keras's multi-head attention with queries and keys turned by an angle that grows with their place.

    The values at i and i + dim / 2 of a head are turned together by `place * 10000 ** (-2 i / dim)`, so that the
    product of a query and a key depends on the distance of their places alone. Reference: Su et al., "RoFormer:
    Enhanced Transformer with Rotary Position Embedding" (2021), equation 34.

    Args:
        num_heads, key_dim: as of `keras.layers.MultiHeadAttention`; `key_dim` is even.

    Raises:
        ValueError: when `key_dim` is odd.

    Example:

    >>> tokens = np.ones((2, 3, 8))
    >>> RotaryAttention(num_heads=2, key_dim=4)(tokens, tokens).shape.as_list()
    [2, 3, 8]
    """

    def __init__(self, num_heads, key_dim, **kwargs):
        if key_dim % 2:
            raise ValueError(f"`key_dim` of RotaryAttention is even: values turn in pairs. Received: key_dim={key_dim}")
        super().__init__(num_heads, key_dim, **kwargs)

    def _compute_attention(self, query, key, *args, **kwargs):
        # Keras has no public place between its projections and their product.
        return super()._compute_attention(turn(query), turn(key), *args, **kwargs)


def turn(values):
    """Values `(batch, length, heads, dim)`, turned by the angles of their places."""
    length, dim = values.shape[1], values.shape[-1]
    angles = np.arange(length)[:, np.newaxis] * 10000.0 ** (-np.arange(0, dim, 2) / dim)
    cosine, sine = (ops.cast(part[:, np.newaxis], values.dtype) for part in (np.cos(angles), np.sin(angles)))
    first, second = ops.split(values, 2, axis=-1)
    return ops.concatenate([first * cosine - second * sine, first * sine + second * cosine], axis=-1)
