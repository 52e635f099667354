import keras
from keras import ops

from mmkeras.fusion.feature.base import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class ModalityAttention(VectorFusion):
    """Feature-level fusion: a weighted mean of the vectors that are there, with weights that each row gives them.

    `F = sum_i a_i v_i` with `a = softmax_i(w_i tanh(W v_i + b))` over the modalities that are there, and `v_i` the
    projected vector of modality i. A row without any gets the mean of learned vectors. Reference: Hori et al.,
    "Attention-Based Multimodal Fusion for Video Description" (2017), with a weight vector for each modality.

    Args: as for every `Fusion`.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, modalities, units)`.

    Example:

    >>> mk.fusion.ModalityAttention(units=32).get_config()["units"]
    32
    """

    def build_fusion(self, shapes):
        super().build_fusion(shapes)
        if len(self.names) == 1:
            return
        self.hidden = self.make_dense("hidden", self.units, self.units, activation="tanh")
        self.scores = {name: self.make_dense(f"{name}_score", 1, self.units, use_bias=False) for name in self.names}

    def join_vectors(self, vectors, present):
        if len(vectors) == 1:
            return vectors[0]
        scores = [self.scores[name](self.hidden(v)) for name, v in zip(self.names, vectors, strict=True)]
        weights = softmax_present(ops.concatenate(scores, axis=-1), present)
        return ops.sum(ops.expand_dims(weights, -1) * ops.stack(vectors, axis=1), axis=1)


def softmax_present(scores, present):
    """Softmax over the modalities that are there, `(batch, modalities)`; the same for all where none is."""
    return ops.softmax(ops.where(present, scores, ops.full_like(scores, -1e4)), axis=-1)
