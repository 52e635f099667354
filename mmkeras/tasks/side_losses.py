"""Losses of training alone, of each modality and between modalities, under Keras's own `compile` and `fit`."""

import itertools

import keras
from keras import ops

from mmkeras.losses import info_nce

_ATTRIBUTE = "_mmkeras_side_tensors"
_TEMPERATURE = 0.1


@keras.saving.register_keras_serializable(package="mmkeras")
class SideTensors(keras.layers.Layer):
    """Passes the output on, with other tensors as an attribute of it, where the loss finds them.

    Keras does the same with masks and logits. A second output would change what `fit` and `predict` are given.

    Call arguments:
        output: the output of the task.
        branches: dict from modality name to the answer of that modality alone, shaped as the output; may be empty.
        vectors: dict from modality name to a vector `(batch, units)`, of one size for all; may be empty.
        present: dict from modality name to bool `(batch,)`.

    Output shape: as `output`.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})

    def call(self, output, branches, vectors, present):
        side = {
            kind: [(tensors[name], present[name]) for name in sorted(tensors)]
            for kind, tensors in (("branches", branches), ("vectors", vectors))
        }
        setattr(output, _ATTRIBUTE, side)
        return output

    def compute_output_spec(self, output, branches, vectors, present):
        return keras.KerasTensor(output.shape, dtype=output.dtype)


def read_side_tensors(output) -> dict[str, list]:
    """The `branches` and `vectors` that `SideTensors` left with an output, each with its presence; none without it.

    Of several outputs the first by name has them.
    """
    first = output[min(output)] if isinstance(output, dict) else output
    return getattr(first, _ATTRIBUTE, {"branches": [], "vectors": []})


def measure_branches(loss, branches: list[tuple], sample_weight=None):
    """The mean of the losses of the branches; rows that lack a modality do not count in its loss.

    Args:
        loss: as `compile` takes it.
        branches: for each its truth, its output, and its presence, bool `(batch,)`.
        sample_weight: of the rows, or None.

    Of several targets all three are dicts by their names, as for `compile`, and the losses are added up.
    """
    if isinstance(loss, dict):
        return sum(
            measure_branches(
                function,
                [(truth[name], output[name], present) for truth, output, present in branches],
                None if sample_weight is None else sample_weight[name],
            )
            for name, function in loss.items()
        )
    function = keras.losses.get(loss)
    function = function if isinstance(function, keras.losses.Loss) else _FunctionLoss(function)
    losses = []
    for truth, output, present in branches:
        losses.append(function(truth, output, sample_weight=_weigh(present, sample_weight)))
    return ops.mean(ops.stack(losses))


def measure_alignment(truth, vectors: list[tuple], sample_weight=None):
    """How badly the vectors of one row find each other among those of other rows: InfoNCE, both ways, mean over pairs.

    For modalities a and b, `-log(exp(s_ii / 0.1) / sum_j exp(s_ij / 0.1))`, with `s_ij` the cosine of `a_i` and `b_j`,
    and j over i and the rows of the batch with both modalities and another truth. Reference: Radford et al., "Learning
    Transferable Visual Models From Natural Language Supervision" (2021); rows of one truth are no negatives after
    Khosla et al., "Supervised Contrastive Learning" (2020).

    Args:
        truth: tensor `(batch, ...)`, or a dict of such.
        vectors: for each modality its vectors `(batch, units)`, and its presence, bool `(batch,)`.
        sample_weight: of the rows, or None.

    Returns: a scalar; 0 where no row has two modalities.
    """
    parts = [ops.reshape(ops.cast(part, "float32"), (ops.shape(part)[0], -1)) for part in keras.tree.flatten(truth)]
    truth = ops.concatenate(parts, axis=1)
    differs = ops.any(ops.expand_dims(truth, 1) != ops.expand_dims(truth, 0), axis=-1)
    losses = []
    for (one, one_present), (other, other_present) in itertools.combinations(vectors, 2):
        both = ops.logical_and(one_present, other_present)
        weight = _weigh(both, sample_weight)
        one, other = (ops.normalize(ops.cast(vector, "float32"), axis=-1) for vector in (one, other))
        scores = ops.matmul(one, ops.transpose(other)) / _TEMPERATURE
        negatives = ops.logical_and(differs, ops.expand_dims(both, 0))
        for direction in (scores, ops.transpose(scores)):
            found = info_nce(direction, negatives)
            losses.append(ops.sum(weight * found) / ops.maximum(ops.sum(weight), 1e-9))
    return ops.mean(ops.stack(losses))


def _weigh(counts, sample_weight):
    """Weights of the rows, float32 `(batch,)`: 0 where a row does not count."""
    weight = ops.cast(counts, "float32")
    return weight if sample_weight is None else weight * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))


class _FunctionLoss(keras.losses.Loss):
    def __init__(self, function):
        super().__init__(name="branch_loss")
        self.function = function

    def call(self, y_true, y_pred):
        return self.function(y_true, y_pred)
