"""Spectrograms that begin elsewhere in training."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class SpectrogramRolling(keras.layers.Layer):
    """Lets each recording begin in training at a random step of its own; what was before that step follows its end.

    For sounds whose order in time does not matter, such as rain or a siren, and not for words. Own design, after the
    shifts in time of Salamon and Bello, "Deep Convolutional Neural Networks and Data Augmentation for Environmental
    Sound Classification" (2017).

    Args:
        seed: of the steps.

    Call arguments:
        steps: `(batch, length, bands)`.
        step_mask: bool `(batch, length)`, False for padding, which comes last and stays where it is.

    Output shape: as `steps`.

    Example:

    >>> layer = SpectrogramRolling(seed=0)
    >>> steps, mask = np.arange(5.0).reshape(1, 5, 1), np.array([[True, True, True, True, False]])
    >>> rolled = layer(steps, mask, training=True).numpy().ravel()
    >>> sorted(rolled[:4].tolist()), float(rolled[4])
    ([0.0, 1.0, 2.0, 3.0], 4.0)
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, steps, step_mask, training=False):
        if not training:
            return steps
        batch, length, _ = ops.shape(steps)
        real = ops.maximum(ops.sum(ops.cast(step_mask, "int32"), axis=1, keepdims=True), 1)
        first = ops.cast(ops.cast(real, "float32") * keras.random.uniform((batch, 1), seed=self.generator), "int32")
        places = ops.expand_dims(ops.arange(length, dtype="int32"), 0)
        places = ops.where(step_mask, (places + first) % real, places)
        return ops.take_along_axis(steps, ops.expand_dims(places, -1), axis=1)

    def compute_mask(self, *args, **kwargs):
        return None  # masks are arguments here

    def compute_output_spec(self, steps, step_mask, training=False):
        return keras.KerasTensor(steps.shape, dtype=steps.dtype)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
