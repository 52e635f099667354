import keras
from keras import ops

from mmkeras.fusion.feature.base import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class FiLM(VectorFusion):
    """Feature-level fusion: each modality scales and shifts the units of the others.

    `F = sum_i (1 + g_i) * v_i + b_i` with `[g_i; b_i] = W_i sum_(j != i) v_j + c_i`, and `v_i` the projected vector of
    modality i. An absent modality's vector is learned and starts as zeros. With one modality it is its vector.
    Reference: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer" (2018), on pooled vectors, and
    in both directions.

    Args: as for every `Fusion`.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, modalities, units)`.

    Example:

    >>> mk.fusion.FiLM(units=32).get_config()["units"]
    32
    """

    def build_fusion(self, shapes):
        super().build_fusion(shapes)
        conditioned = self.names if len(self.names) > 1 else []
        self.conditions = {
            name: self.make_dense(f"{name}_condition", 2 * self.units, self.units) for name in conditioned
        }

    def join_vectors(self, vectors, present):
        if not self.conditions:
            return vectors[0]
        total = sum(vectors[1:], vectors[0])
        modulated = []
        for name, vector in zip(self.names, vectors, strict=True):
            scale, shift = ops.split(self.conditions[name](total - vector), 2, axis=-1)
            modulated.append((1 + scale) * vector + shift)
        return sum(modulated[1:], modulated[0])
