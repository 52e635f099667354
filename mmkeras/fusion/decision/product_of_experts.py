import keras
from keras import ops

from mmkeras.fusion.decision.base import DecisionFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class ProductOfExperts(DecisionFusion):
    """Decision-level fusion: the probabilities of the modalities that are there, multiplied.

    `F = sum_i p_i l_i`, with `l_i` the logits of modality i alone and `p_i` 1 where it is present: the softmax of a sum
    of logits is the normalized product of their softmaxes. Modalities that agree make each other surer, other than in
    `MeanLogits`. For classes only. Reference: Hinton, "Training Products of Experts by Minimizing Contrastive
    Divergence" (2002).

    Args: as for every `DecisionFusion`.

    Example:

    >>> logits = {"a": np.array([[1.0], [2.0]]), "b": np.array([[3.0], [9.0]])}
    >>> present = {"a": np.array([True, True]), "b": np.array([True, False])}
    >>> mk.fusion.ProductOfExperts()(logits, present).numpy().tolist()
    [[4.0], [2.0]]
    """

    needs_classes = True

    def join_logits(self, logits, present, training):
        return ops.sum(logits, axis=1)
