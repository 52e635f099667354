"""What makes a step on several replicas the step of one device: losses, statistics and clipping are of all rows.

A replica is one device's copy of a model. Keras averages over replicas, which is right only where each has as many rows
as every other; here every row counts alike, however a batch is divided. All of it is done inside of the step of each
replica, and is nothing at all on one device.
"""

import keras
import tensorflow as tf

SUM = tf.distribute.ReduceOp.SUM


def count_replicas() -> int:
    """Of the strategy that is open; 1 without one."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def find_context():
    """What this replica reaches the others by; None on one device, and outside of a step."""
    context = tf.distribute.get_replica_context()
    return context if context is not None and context.num_replicas_in_sync > 1 else None


def average_rows(loss, rows):
    """The mean of the losses of all replicas, each weighted by its number of rows.

    Its gradient in each replica is such that their sum, which optimizers take, is that of one device.

    Args:
        loss: a scalar, the mean over the rows of this replica; whatever, where it has none.
        rows: an int scalar, how many these are.
    """
    context = find_context()
    if context is None:
        return loss
    rows = tf.cast(rows, loss.dtype)
    total, count = context.all_reduce(SUM, [tf.where(rows > 0, loss, 0.0) * rows, rows])
    return total / count


def divide_sums(total, count):
    """The mean of what all replicas counted, divided by the number of replicas, as Keras's losses all are.

    Args:
        total: a scalar, the sum of the losses of this replica.
        count: a scalar, of how many.

    Returns: a scalar; 0 where nothing was counted.
    """
    context = find_context()
    if context is not None:
        total, count = context.all_reduce(SUM, [total, count])
    return total / tf.maximum(count, 1) / count_replicas()


def gather_rows(tensors):
    """A structure of tensors `(batch, ...)` with the rows of all replicas, one after the other; gradients go back."""
    context = find_context()
    if context is None:
        return tensors

    def gather(tensor):
        if tensor is None or tensor.dtype != tf.bool:
            return None if tensor is None else context.all_gather(tensor, 0)
        return tf.cast(context.all_gather(tf.cast(tensor, tf.int32), 0), tf.bool)

    return tf.nest.map_structure(gather, tensors)


def synchronize(model: keras.Model):
    """Batch normalization takes the statistics of the rows of all replicas, where there are several.

    It is no part of any configuration of ours: what is saved and exported is an ordinary layer.
    """
    if count_replicas() > 1:
        for layer in model._flatten_layers():
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True


def clip_the_sum(optimizer: keras.optimizers.Optimizer):
    """Gradients are clipped after they were summed over the replicas, as on one device.

    Keras clips those of each replica (`BaseOptimizer._backend_apply_gradients` comes before
    `TFOptimizer._all_reduce_sum_gradients`).
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    clips = any((optimizer.clipnorm, optimizer.global_clipnorm, optimizer.clipvalue))
    if not clips or hasattr(optimizer, "_clip_one"):
        return
    optimizer._clip_one = clip = optimizer._clip_gradients

    def clip_sum(gradients):
        context = find_context()
        if context is None:
            return clip(gradients)
        # They are summed once more where they are applied.
        share = 1 / context.num_replicas_in_sync
        return [tf.math.scalar_mul(share, gradient) for gradient in clip(context.all_reduce(SUM, gradients))]

    optimizer._clip_gradients = clip_sum
