import keras
from keras import ops

from mmkeras.fusion.base import MODALITY_DROPOUT
from mmkeras.fusion.feature.base import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class Tensor(VectorFusion):
    """Feature-level fusion: every product of units of different modalities, by an outer product.

    `F = relu(W vec([z_1; 1] x ... x [z_n; 1]) + b)` with `z_i = P_i v_i`, and `v_i` the projected vector of modality i:
    the ones leave the products of fewer modalities in. The outer product grows with the power of the modalities, so
    `z_i` has as many units as keep it within `max_products`. An absent modality's vector is learned and starts as
    zeros. Reference: Zadeh et al., "Tensor Fusion Network" (2017).

    Args:
        units, modality_dropout, seed: as for every `Fusion`.
        max_products: of the outer product; at least 2 for each modality, multiplied.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, modalities, units)`.

    Example:

    >>> mk.fusion.Tensor(units=32, max_products=64).get_config()["max_products"]
    64
    """

    def __init__(self, units=128, max_products=1024, modality_dropout=MODALITY_DROPOUT, seed=None, **kwargs):
        super().__init__(units, modality_dropout, seed, **kwargs)
        self.max_products = max_products

    def build_fusion(self, shapes):
        super().build_fusion(shapes)
        count = len(self.names)
        # The root may come out as 2.9999 where it is 3.
        size = min(self.units, int(self.max_products ** (1 / count) + 1e-6) - 1)
        if size < 1:
            raise ValueError(
                f"`max_products` of Tensor is at least {2**count} for {count} modalities. "
                f"Received: max_products={self.max_products}"
            )
        self.contractions = {name: self.make_dense(f"{name}_contraction", size, self.units) for name in self.names}
        self.dense = self.make_dense("dense", self.units, (size + 1) ** count, activation="relu")

    def join_vectors(self, vectors, present):
        products = ops.ones_like(vectors[0][:, :1])
        for name, vector in zip(self.names, vectors, strict=True):
            factor = self.contractions[name](vector)
            factor = ops.concatenate([factor, ops.ones_like(factor[:, :1])], axis=-1)
            size = products.shape[-1] * factor.shape[-1]
            products = ops.reshape(products[:, :, None] * factor[:, None, :], (-1, size))
        return self.dense(products)

    def get_config(self):
        return {**super().get_config(), "max_products": self.max_products}
