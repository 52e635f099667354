import keras
from keras import ops

from mmkeras.fusion.base import MODALITY_DROPOUT
from mmkeras.fusion.decision.base import DecisionFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class Stacking(DecisionFusion):
    """Decision-level fusion: a small network reads what each modality says alone.

    `F = W relu(V [p_1 l_1; p_1; ...; p_n l_n; p_n] + c) + b`, with `l_i` the logits of modality i alone and `p_i` 1
    where it is present. Reference: Wolpert, "Stacked Generalization" (1992), with both levels trained at once.

    Args:
        hidden_units: of the network.
        modality_dropout, seed: as for every `DecisionFusion`.

    Example:

    >>> mk.fusion.Stacking(hidden_units=8).get_config()["hidden_units"]
    8
    """

    def __init__(self, hidden_units=64, modality_dropout=MODALITY_DROPOUT, seed=None, **kwargs):
        super().__init__(modality_dropout, seed, **kwargs)
        self.hidden_units = hidden_units

    def build_fusion(self, shapes):
        units = next(iter(shapes.values()))[-1]
        self.hidden = keras.layers.Dense(self.hidden_units, activation="relu", dtype="float32", name="hidden")
        self.hidden.build((None, len(self.names) * (units + 1)))
        self.dense = keras.layers.Dense(units, dtype="float32", name="dense")
        self.dense.build((None, self.hidden_units))

    def join_logits(self, logits, present, training):
        flags = ops.expand_dims(ops.cast(present, logits.dtype), -1)
        together = ops.concatenate([logits, flags], axis=-1)
        size = together.shape[1] * together.shape[2]
        return self.dense(self.hidden(ops.reshape(together, (-1, size))))

    def get_config(self):
        return {**super().get_config(), "hidden_units": self.hidden_units}
