import keras
from keras import ops

from mmkeras.fusion.feature.base import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class Concatenation(VectorFusion):
    """Feature-level fusion: all vectors side by side, then a dense layer.

    `F = relu(W [v_1; ...; v_n] + b)`, with `v_i` the projected vector of modality i. An absent modality's vector
    is learned and starts as zeros. Reference: the early fusion of Ngiam et al., "Multimodal Deep Learning" (2011).

    Args: as for every `Fusion`.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, modalities, units)`.

    Example:

    >>> mk.fusion.Concatenation(units=32).get_config()["units"]
    32
    """

    def build_fusion(self, shapes):
        super().build_fusion(shapes)
        self.dense = self.make_dense("dense", self.units, len(self.names) * self.units, activation="relu")

    def join_vectors(self, vectors, present):
        return self.dense(ops.concatenate(vectors, axis=-1))
