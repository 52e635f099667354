"""Losses of each modality alone, under Keras's own `compile` and `fit`."""

import keras
from keras import ops

_ATTRIBUTE = "_mmkeras_branches"


@keras.saving.register_keras_serializable(package="mmkeras")
class BranchAnswers(keras.layers.Layer):
    """Passes the output on, with the answers of the branches as an attribute of the tensor, where the loss finds them.

    Keras does the same with masks and logits. A second output would change what `fit` and `predict` are given.

    Call arguments:
        output: the output of the task.
        answers: dict from modality name to the answer of that modality alone, shaped as the output.
        present: dict from modality name to bool `(batch,)`.

    Output shape: as `output`.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})

    def call(self, output, answers, present):
        setattr(output, _ATTRIBUTE, [(answers[name], present[name]) for name in sorted(answers)])
        return output

    def compute_output_spec(self, output, answers, present):
        return keras.KerasTensor(output.shape, dtype=output.dtype)


def read_branches(output) -> list:
    """The answers and presences that `BranchAnswers` left with an output; none without it."""
    return getattr(output, _ATTRIBUTE, [])


def measure_branches(loss, branches: list[tuple], sample_weight=None):
    """The mean of the losses of the branches; rows that lack a modality do not count in its loss.

    Args:
        loss: as `compile` takes it.
        branches: for each its truth, its output, and its presence, bool `(batch,)`.
        sample_weight: of the rows, or None.
    """
    function = keras.losses.get(loss)
    function = function if isinstance(function, keras.losses.Loss) else _FunctionLoss(function)
    losses = []
    for truth, output, present in branches:
        weight = ops.cast(present, "float32")
        if sample_weight is not None:
            weight = weight * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        losses.append(function(truth, output, sample_weight=weight))
    return ops.mean(ops.stack(losses))


class _FunctionLoss(keras.losses.Loss):
    def __init__(self, function):
        super().__init__(name="branch_loss")
        self.function = function

    def call(self, y_true, y_pred):
        return self.function(y_true, y_pred)
