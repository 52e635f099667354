"""A part of a recording in place of all of it."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class AudioCropping(keras.layers.Layer):
    """Cuts in training from each recording a part of random length and place; what follows it is zero.

    Args:
        share: of the recording, the smallest and the largest.
        seed: of lengths and places.

    Call arguments:
        samples: `(batch, samples)`.
        length: int `(batch,)`, how many samples are real.

    Returns: samples and length, shaped as they were.

    Raises:
        ValueError: for shares that are none.

    Example:

    >>> layer = AudioCropping((0.5, 0.5), seed=0)
    >>> samples, length = layer(np.arange(1, 9, dtype="float32")[None], np.array([6]), training=True)
    >>> int(length[0]), int(np.count_nonzero(samples))
    (3, 3)
    """

    def __init__(self, share=(0.4, 0.8), seed=None, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        low, high = share
        if not 0 < low <= high <= 1:
            raise ValueError(f"`share` is two numbers, 0 < smallest <= largest <= 1. Received: share={share}")
        self.share = (low, high)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, samples, length, training=False):
        if not training:
            return samples, length
        shape, count = ops.shape(length), samples.shape[-1]
        real = ops.cast(length, "float32")
        part = ops.ceil(real * keras.random.uniform(shape, *self.share, seed=self.generator))
        start = ops.floor((real - part + 1) * keras.random.uniform(shape, seed=self.generator))
        places = ops.expand_dims(ops.arange(count, dtype="int32"), 0)
        part, start = (ops.cast(ops.expand_dims(each, 1), "int32") for each in (part, start))
        moved = ops.take_along_axis(samples, ops.minimum(places + start, count - 1), axis=1)
        cropped = ops.where(places < part, moved, ops.zeros_like(moved))
        return cropped, ops.cast(part[:, 0], length.dtype)

    def compute_output_spec(self, samples, length, training=False):
        return tuple(keras.KerasTensor(each.shape, dtype=each.dtype) for each in (samples, length))

    def get_config(self):
        return {**super().get_config(), "share": self.share, "seed": self.seed}
