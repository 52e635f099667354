"""Padding in the middle of a network."""

from keras import ops


def clear(steps, mask):
    """Steps `(batch, length, ...)` with zeros where the mask `(batch, length)` is False."""
    weights = ops.cast(mask, steps.dtype)
    return steps * ops.reshape(weights, (-1, mask.shape[1], *[1] * (len(steps.shape) - 2)))
