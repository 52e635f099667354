import keras
from keras import ops

from mmkeras.fusion.decision.base import DecisionFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class MeanLogits(DecisionFusion):
    """Decision-level fusion: the mean of what the modalities that are there say.

    `F = sum_i p_i l_i / sum_i p_i`, with `l_i` the logits of modality i alone and `p_i` 1 where it is present; 0 where
    none is. It cannot answer what no single modality tells, such as an exclusive or. Reference: Kittler et al., "On
    Combining Classifiers" (1998), the product rule, of which this is the normalized logarithm.

    Args: as for every `DecisionFusion`.

    Example:

    >>> logits = {"a": np.array([[1.0], [2.0]]), "b": np.array([[3.0], [9.0]])}
    >>> present = {"a": np.array([True, True]), "b": np.array([True, False])}
    >>> mk.fusion.MeanLogits()(logits, present).numpy().tolist()
    [[2.0], [2.0]]
    """

    def join_logits(self, logits, present, training):
        count = ops.sum(ops.cast(present, logits.dtype), axis=1, keepdims=True)
        return ops.sum(logits, axis=1) / ops.maximum(count, 1)
