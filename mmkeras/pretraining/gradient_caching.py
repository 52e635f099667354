"""A step on many rows in the memory of few."""

import keras
import tensorflow as tf


def train_in_parts(model: keras.Model, inputs, rows_at_once: int):
    """One step of a pretrainer whose losses compare all rows of the batch; so many are in the encoders at once.

    The outputs of all rows are computed part by part, without what gradients need; the loss and its gradients by these
    outputs follow from all of them; then the parts go through the model again, and their gradients are added up. It
    takes one more pass forward. What is drawn at random in the second pass is what was drawn in the first. Batch
    normalization takes the statistics of a part. Reference: Gao et al., "Scaling Deep Contrastive Learning Batch Size
    under Memory Limited Setup" (2021).
    """
    count = tf.shape(tf.nest.flatten(inputs)[0])[0]
    starts = tf.range(0, count, rows_at_once)
    weights = [variable.value for variable in model.trainable_variables]
    metrics = {id(variable) for variable in model.metrics_variables}
    state = [variable for variable in model.non_trainable_variables if id(variable) not in metrics]
    before = [tf.identity(variable.value) for variable in state]

    def run(start):
        part = tf.nest.map_structure(lambda tensor: tensor[start : start + rows_at_once], inputs)
        return tf.nest.flatten(model(part, training=True))

    kinds = [tensor.dtype for tensor in tf.nest.flatten(model.output)]
    arrays = [tf.TensorArray(kind, tf.size(starts), infer_shape=False) for kind in kinds]

    def collect(index, arrays):
        tensors = run(starts[index])
        return index + 1, [array.write(index, tensor) for array, tensor in zip(arrays, tensors, strict=True)]

    _, arrays = tf.while_loop(lambda index, _: index < tf.size(starts), collect, [0, arrays], parallel_iterations=1)
    outputs = []
    for array, tensor in zip(arrays, tf.nest.flatten(model.output), strict=True):
        outputs.append(tf.ensure_shape(array.concat(), tensor.shape))
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = model.compute_loss(inputs, None, tf.nest.pack_sequence_as(model.output, outputs))
    slopes = tape.gradient(loss, outputs)
    for variable, value in zip(state, before, strict=True):
        variable.assign(value)

    def add(index, sums):
        start = starts[index]
        with tf.GradientTape() as tape:
            total = 0.0
            for tensor, slope in zip(run(start), slopes, strict=True):
                if slope is not None:
                    total += tf.reduce_sum(tensor * slope[start : start + rows_at_once])
        found = tape.gradient(total, weights, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return index + 1, [one + tf.convert_to_tensor(other) for one, other in zip(sums, found, strict=True)]

    sums = [tf.zeros_like(weight) for weight in weights]
    _, gradients = tf.while_loop(lambda index, _: index < tf.size(starts), add, [0, sums], parallel_iterations=1)
    model.optimizer.apply(gradients, model.trainable_variables)
    return loss, count
