"""Learning rates."""

import math
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import ops

__all__ = ["CosineToEnd"]


@keras.saving.register_keras_serializable(package="mmkeras")
class CosineToEnd(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that falls from its initial value to 0 over one call of `fit`, along half a cosine.

    `initial_learning_rate * (1 + cos(pi * progress)) / 2`, after a rise from 0 along a line where a warm-up is asked
    for (Goyal et al., "Accurate, Large Minibatch SGD", 2017). Nobody has to count steps: a task tells it how many there
    will be when `fit` begins, each time anew; until then, and where the number is not known, the rate stays constant.
    Reference: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017), equation 5.

    Args:
        initial_learning_rate: float greater than 0.
        warmup: share of the steps in which the rate rises, from 0 to less than 1.

    Raises:
        ValueError: for another share.

    Example:

    >>> schedule = mk.schedules.CosineToEnd(0.002)
    >>> schedule.plan(first_step=0, steps=100)
    >>> [round(float(schedule(step)), 6) for step in (0, 50, 100)]
    [0.002, 0.001, 0.0]
    """

    def __init__(self, initial_learning_rate: float = 0.002, warmup: float = 0.0):
        if not 0 <= warmup < 1:
            raise ValueError(f"`warmup` is a share of the steps, from 0 to less than 1. Received: warmup={warmup}")
        self.initial_learning_rate = initial_learning_rate
        self.warmup = warmup
        # Variables, because a compiled training step reads them anew and a number would be part of it.
        self._first_step = keras.Variable(0.0, trainable=False, name="first_step")
        self._steps = keras.Variable(0.0, trainable=False, name="steps")

    def plan(self, first_step: int, steps: int):
        """Lets the rate fall over so many steps from `first_step` on; 0 steps for a constant rate."""
        self._first_step.assign(first_step)
        self._steps.assign(steps)

    def __call__(self, step):
        done = ops.cast(step, "float32") - self._first_step
        progress = ops.clip(done / ops.maximum(self._steps, 1.0), 0.0, 1.0)
        falling = 0.5 * (1.0 + ops.cos(math.pi * ops.maximum(progress - self.warmup, 0.0) / (1.0 - self.warmup)))
        # The first step is one already: at a rate of 0 it would do nothing.
        rising = (done + 1.0) / ops.maximum(self._steps * self.warmup, 1.0)
        return self.initial_learning_rate * ops.where(self._steps > 0, ops.minimum(rising, falling), 1.0)

    def get_config(self):
        return {"initial_learning_rate": self.initial_learning_rate, "warmup": self.warmup}


def count_steps(x, batch_size: int | None = None) -> int:
    """How many batches an epoch of `fit(x, batch_size=batch_size)` has; 0 where nobody knows.

    Example:

    >>> mk.schedules.count_steps({"a": np.zeros(70)}), mk.schedules.count_steps(tf.data.Dataset.range(3))
    (3, 3)
    """
    if isinstance(x, tf.data.Dataset):
        return max(int(x.cardinality()), 0)
    try:
        if batch_size is None and hasattr(x, "__getitem__") and not isinstance(x, Mapping | np.ndarray | tf.Tensor):
            return len(x)  # a keras.utils.PyDataset
        return -(-len(keras.tree.flatten(x)[0]) // (batch_size or 32))
    except TypeError:
        return 0


def __dir__():
    return __all__
