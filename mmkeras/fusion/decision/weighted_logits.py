import keras
from keras import ops

from mmkeras.fusion.decision.base import DecisionFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class WeightedLogits(DecisionFusion):
    """Decision-level fusion: the mean of what the modalities that are there say, each with a learned weight.

    `F = sum_i p_i w_i l_i / sum_i p_i w_i`, with `l_i` the logits of modality i alone, `p_i` 1 where it is present, and
    `w_i = exp(u_i)` learned and at first 1; 0 where none is. Reference: Jacobs, "Methods for Combining Experts'
    Probability Assessments" (1995), the logarithmic opinion pool.

    Args: as for every `DecisionFusion`.

    Example:

    >>> logits = {"a": np.array([[1.0], [2.0]]), "b": np.array([[3.0], [9.0]])}
    >>> present = {"a": np.array([True, True]), "b": np.array([True, False])}
    >>> mk.fusion.WeightedLogits()(logits, present).numpy().tolist()
    [[2.0], [2.0]]
    """

    def build_fusion(self, shapes):
        if len(self.names) > 1:  # a single one would cancel out
            self.log_weights = self.add_weight(shape=(len(self.names),), initializer="zeros", name="log_weights")

    def join_logits(self, logits, present, training):
        weights = ops.cast(present, logits.dtype)
        if len(self.names) > 1:
            weights = weights * ops.exp(self.log_weights)
        total = ops.sum(logits * ops.expand_dims(weights, -1), axis=1)
        return total / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1e-6)
