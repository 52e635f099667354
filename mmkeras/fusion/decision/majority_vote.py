import keras
from keras import ops

from mmkeras.fusion.decision.base import DecisionFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class MajorityVote(DecisionFusion):
    """Decision-level fusion: the class that most of the modalities that are there choose.

    `F = log(sum_i p_i (onehot(argmax l_i) + softmax(l_i) / 2n))`, with `l_i` the logits of modality i alone, `p_i` 1
    where it is present, and n the number of modalities: votes count, and where they are equal the probabilities. A vote
    has no gradient, so training goes by the probabilities alone. For classes only. Reference: Lam and Suen,
    "Application of Majority Voting to Pattern Recognition" (1997).

    Args: as for every `DecisionFusion`.

    Example:

    >>> logits = {"a": np.array([[2.0, 0.0]]), "b": np.array([[0.0, 1.0]]), "c": np.array([[0.0, 1.0]])}
    >>> present = {name: np.array([True]) for name in logits}
    >>> int(mk.fusion.MajorityVote()(logits, present).numpy().argmax())
    1
    """

    needs_classes = True

    def join_logits(self, logits, present, training):
        there = ops.expand_dims(ops.cast(present, logits.dtype), -1)
        support = ops.softmax(logits, axis=-1) / (2 * len(self.names))  # of all modalities together less than a vote
        if not training:
            # Not by argmax, of which Keras makes an op that TFLite does not have.
            support = support + ops.cast(logits == ops.max(logits, axis=-1, keepdims=True), logits.dtype)
        return ops.log(ops.sum(there * support, axis=1) + 1e-6)  # something where none is there
