"""Spectrograms that lack something in training."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class SpectrogramMasking(keras.layers.Layer):
    """Zeroes in training, in each row, one span of time and one of frequency, of random place and width.

    Reference: Park et al., "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition" (2019),
    without their warping of time.

    Args:
        time_share: largest share of the steps of a recording that is zeroed.
        band_share: largest share of the bands that is zeroed.
        seed: of the places and widths.

    Call arguments:
        steps: `(batch, length, bands)`, of zero mean.
        step_mask: bool `(batch, length)`, False for padding, which comes last.

    Output shape: as `steps`.

    Example:

    >>> layer = SpectrogramMasking(time_share=0.5, band_share=0.5, seed=0)
    >>> steps, mask = np.ones((4, 10, 8), "float32"), np.ones((4, 10), bool)
    >>> bool(np.all(layer(steps, mask) == 1)), bool(np.all(layer(steps, mask, training=True) == 1))
    (True, False)
    """

    def __init__(self, time_share=0.1, band_share=0.15, seed=None, **kwargs):
        super().__init__(**kwargs)
        for key, value in {"time_share": time_share, "band_share": band_share}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"`{key}` of SpectrogramMasking lies between 0 and 1. Received: {key}={value}")
        self.time_share = time_share
        self.band_share = band_share
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def call(self, steps, step_mask, training=False):
        if not training:
            return steps
        batch, length, bands = ops.shape(steps)
        lengths = ops.sum(ops.cast(step_mask, "float32"), axis=1, keepdims=True)
        in_time = self._choose(batch, length, lengths, self.time_share)
        in_bands = self._choose(batch, bands, ops.cast(bands, "float32"), self.band_share)
        is_lost = ops.logical_or(ops.expand_dims(in_time, 2), ops.expand_dims(in_bands, 1))
        return ops.where(is_lost, ops.zeros_like(steps), steps)

    def compute_mask(self, *args, **kwargs):
        return None  # what Keras would take on; masks are arguments here

    def compute_output_spec(self, steps, step_mask, training=False):
        return keras.KerasTensor(steps.shape, dtype=steps.dtype)

    def _choose(self, batch, count, real, share):
        """Bool `(batch, count)`: one span of each row, within the first `real`."""
        width = real * share * keras.random.uniform((batch, 1), seed=self.generator)
        start = (real - width) * keras.random.uniform((batch, 1), seed=self.generator)
        places = ops.expand_dims(ops.cast(ops.arange(count), "float32"), 0)
        return ops.logical_and(places >= start, places < start + width)

    def get_config(self):
        return {
            **super().get_config(),
            "time_share": self.time_share,
            "band_share": self.band_share,
            "seed": self.seed,
        }
