import keras
from keras import ops

from mmkeras.fusion.base import MODALITY_DROPOUT
from mmkeras.fusion.feature.base import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class LowRankTensor(VectorFusion):
    """Feature-level fusion: what `Tensor` computes, by weights of low rank, whose number grows by the modality.

    `F = sum_r a_r prod_i (W_ir v_i + b_ir) + c`, with `v_i` the projected vector of modality i. The `b_ir` start as
    ones, and so leave the products of fewer modalities in. An absent modality's vector is learned and starts as zeros.
    Reference: Liu et al., "Efficient Low-rank Multimodal Fusion with Modality-Specific Factors" (2018).

    Args:
        units, modality_dropout, seed: as for every `Fusion`.
        rank: how many products are added.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, modalities, units)`.

    Example:

    >>> mk.fusion.LowRankTensor(units=32, rank=2).get_config()["rank"]
    2
    """

    def __init__(self, units=128, rank=4, modality_dropout=MODALITY_DROPOUT, seed=None, **kwargs):
        super().__init__(units, modality_dropout, seed, **kwargs)
        if rank < 1:
            raise ValueError(f"`rank` of LowRankTensor is at least 1. Received: rank={rank}")
        self.rank = rank

    def build_fusion(self, shapes):
        super().build_fusion(shapes)
        self.factors = {
            name: self.make_dense(f"{name}_factors", self.rank * self.units, self.units, bias_initializer="ones")
            for name in self.names
        }
        self.rank_weights = self.add_weight(shape=(self.rank, 1), initializer="glorot_uniform", name="rank_weights")
        self.bias = self.add_weight(shape=(self.units,), initializer="zeros", name="bias")

    def join_vectors(self, vectors, present):
        products = 1.0
        for name, vector in zip(self.names, vectors, strict=True):
            products = products * ops.reshape(self.factors[name](vector), (-1, self.rank, self.units))
        weights = ops.cast(self.rank_weights, products.dtype)
        return ops.sum(products * weights, axis=1) + ops.cast(self.bias, products.dtype)

    def get_config(self):
        return {**super().get_config(), "rank": self.rank}
