import keras
from keras import ops

from mmkeras.fusion.base import MODALITY_DROPOUT
from mmkeras.fusion.feature.base import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class FactorizedBilinear(VectorFusion):
    """Feature-level fusion: products in a wider space, added in groups, and normalized.

    `F = norm(root(pool(prod_i (U_i v_i + b_i))))`, with `v_i` the projected vector of modality i: `pool` adds groups of
    `factor` units, `root(x) = sign(x) sqrt(|x|)`, and `norm` divides by the root of the mean square. The `b_i` start as
    ones, so that an absent modality, whose learned vector starts as zeros, changes nothing. Reference: Yu et al.,
    "Multi-modal Factorized Bilinear Pooling with Co-Attention Learning for Visual Question Answering" (2017), there for
    two modalities.

    Args:
        units, modality_dropout, seed: as for every `Fusion`.
        factor: how many products are added to one unit.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, modalities, units)`.

    Example:

    >>> mk.fusion.FactorizedBilinear(units=32, factor=2).get_config()["factor"]
    2
    """

    def __init__(self, units=128, factor=4, modality_dropout=MODALITY_DROPOUT, seed=None, **kwargs):
        super().__init__(units, modality_dropout, seed, **kwargs)
        if factor < 1:
            raise ValueError(f"`factor` of FactorizedBilinear is at least 1. Received: factor={factor}")
        self.factor = factor

    def build_fusion(self, shapes):
        super().build_fusion(shapes)
        self.expansions = {
            name: self.make_dense(f"{name}_expansion", self.factor * self.units, self.units, bias_initializer="ones")
            for name in self.names
        }

    def join_vectors(self, vectors, present):
        product = 1.0
        for name, vector in zip(self.names, vectors, strict=True):
            product = product * self.expansions[name](vector)
        pooled = ops.sum(ops.reshape(product, (-1, self.units, self.factor)), axis=-1)
        # Shifted, because the slope of a root is infinite at 0.
        rooted = ops.sign(pooled) * (ops.sqrt(ops.abs(pooled) + 1e-2) - 1e-1)
        return rooted * ops.rsqrt(ops.mean(ops.square(rooted), axis=-1, keepdims=True) + 1e-3)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}
