import keras
from keras import ops

from mmkeras.fusion.feature.base import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class Gated(VectorFusion):
    """Feature-level fusion: each row decides, unit by unit, how much of each modality it takes.

    `F = sum_i z_i * tanh(v_i)` with `z_i = sigmoid(U_i [v_1; ...; v_n] + b_i)`, and `v_i` the projected vector of
    modality i. An absent modality's vector is learned and starts as zeros. Reference: Arevalo et al., "Gated Multimodal
    Units for Information Fusion" (2017), the form for more than two modalities.

    Args: as for every `Fusion`.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, modalities, units)`.

    Example:

    >>> mk.fusion.Gated(units=32).get_config()["units"]
    32
    """

    def build_fusion(self, shapes):
        super().build_fusion(shapes)
        inputs = len(self.names) * self.units
        self.gates = {
            name: self.make_dense(f"{name}_gate", self.units, inputs, activation="sigmoid") for name in self.names
        }

    def join_vectors(self, vectors, present):
        together = ops.concatenate(vectors, axis=-1)
        gated = [self.gates[name](together) * ops.tanh(v) for name, v in zip(self.names, vectors, strict=True)]
        return sum(gated[1:], gated[0])
