"""Batch normalization that is one over all replicas."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="mmkeras")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras's; `synchronized` over the replicas of a `tf.distribute` strategy it is as exact as on one device.

    Keras's own takes the variance as a difference of two means, which loses digits, and ignores `synchronized` where
    steps are masked. Reference: Ioffe and Szegedy, "Batch Normalization" (2015).

    Call arguments:
        inputs: `(batch, ..., dim)`.
        mask: bool `(batch, ...)`, the steps that count; None for all.

    Output shape: as `inputs`.

    Example:

    >>> layer = mk.layers.BatchNormalization(momentum=0.0)
    >>> mask = np.array([[True, True, False]])
    >>> normalized = layer(np.array([[[1.0], [3.0], [99.0]]]), mask=mask, training=True)
    >>> float(layer.moving_mean[0])
    2.0
    """

    def _moments(self, inputs, mask):
        context = tf.distribute.get_replica_context()
        if not self.synchronized or context is None:
            return super()._moments(inputs, mask)
        counted = tf.ones_like(inputs, tf.bool) if mask is None else tf.broadcast_to(mask[..., None], tf.shape(inputs))

        def add_up(values):
            total = tf.reduce_sum(tf.where(counted, values, 0.0), self._reduction_axes)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, total)

        count = add_up(tf.ones_like(inputs))
        mean = add_up(inputs) / count
        return mean, add_up(tf.square(inputs - mean)) / count
