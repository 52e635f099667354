import keras
from keras import ops

from mmkeras.fusion.base import connect_branches
from mmkeras.fusion.feature.gated import Gated
from mmkeras.fusion.feature.modality_attention import softmax_present


@keras.saving.register_keras_serializable(package="mmkeras")
class Auto(Gated):
    """Decision-level fusion: each row decides whether to believe one modality, or all of them together.

    `F = g_0 l_0 + sum_i g_i l_i`, with `l_0` the logits of a head on what `Gated` fuses, `l_i` those of a head on
    modality i alone, and `g = softmax(W [x_1; ...; x_n; p] + b)` over 0 and the modalities that are there, with `x_i`
    the pooled vector of modality i, zero where absent, and p the flags of presence. So a modality that tells nothing
    is left alone, and a row that lacks one is answered by the heads of the others. Reference: Jacobs et al., "Adaptive
    Mixtures of Local Experts" (1991).

    Args: as for every `Fusion`.

    Example:

    >>> mk.fusion.Auto(units=32).get_config()["units"]
    32
    """

    def connect(self, outputs, head, encoded=None):
        logits, _ = super().connect(outputs, head)
        features = outputs["modalities"]
        if head.source != "fused" or head.per_token or (len(features) == 1 and not encoded):
            return logits, {}
        branches = connect_branches(features, head)
        if len(features) > 1:
            logits = _Mixture(name=f"{head.name}-mixture")(logits, branches, features)
        return logits, branches if encoded else {}


@keras.saving.register_keras_serializable(package="mmkeras")
class _Mixture(keras.layers.Layer):
    """The logits of all together, and dicts of the logits and of the Features of each modality, to `(batch, units)`."""

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, joint_shape, logits_shape, features_shape):
        self.names = sorted(features_shape)
        count = len(self.names)
        self.gate = keras.layers.Dense(1 + count, dtype="float32", name="gate")
        self.gate.build((None, count + sum(features_shape[name]["pooled"][-1] for name in self.names)))

    def call(self, joint, logits, features):
        present = ops.stack([features[name]["present"] for name in self.names], axis=1)
        pooled = [features[name]["pooled"] for name in self.names]
        scores = self.gate(ops.concatenate([*pooled, ops.cast(present, joint.dtype)], axis=-1))
        weights = softmax_present(scores, ops.concatenate([ops.ones_like(present[:, :1]), present], axis=1))
        experts = ops.stack([joint, *(logits[name] for name in self.names)], axis=1)
        return ops.sum(ops.expand_dims(weights, -1) * experts, axis=1)

    def compute_output_shape(self, joint_shape, logits_shape, features_shape):
        return joint_shape
