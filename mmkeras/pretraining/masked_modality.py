import keras
from keras import ops

from mmkeras.pretraining.contrastive import PairObjective


@keras.saving.register_keras_serializable(package="mmkeras")
class MaskedModality(PairObjective):
    """A hidden modality is told from the others, by finding it among those of other rows.

    The fusion joins the row without it; a projection of what is fused and one of what the encoder of the hidden
    modality says are a pair, as in `Contrastive`. So encoders and fusion learn, whatever a modality is, and all vectors
    alike are no solution. Rows count that have the modality and any other. Own design, after van den Oord et al.,
    "Representation Learning with Contrastive Predictive Coding" (2018).

    Args:
        input: name of the input that is hidden.
        units, hidden_units, loss, temperature, weight, name: as for `Contrastive`.

    Metrics: as of `Contrastive`; the spread is that of the modality and of what is told.

    Raises:
        ValueError: in a `Pretrainer`, without another modality, and for fusions of the decision level.

    Example:

    >>> rows = mk.read([{"color": c, "price": p, "size": p * 2} for c, p in (("red", 1), ("blue", 5)) * 8])
    >>> modalities = {"color": mk.Text(), "price": mk.Tabular(["price"]), "size": mk.Tabular(["size"])}
    >>> pretrainer = mk.pretraining.Pretrainer.from_source(
    ...     rows, modalities, [mk.pretraining.MaskedModality("color")]
    ... )
    >>> pretrainer.fit(pretrainer.dataset(rows, 8), verbose=0).history["masked_modality_color_recall_at_5"]
    [1.0]
    """

    kind = "masked_modality"
    reads_fused = True

    def __init__(
        self,
        input: str,
        units: int = 128,
        hidden_units: int = 0,
        loss: str = "info_nce",
        temperature: float = 0.1,
        weight: float = 1.0,
        name: str | None = None,
    ):
        super().__init__((input,), units, hidden_units, loss, temperature, weight, name)
        self.input = input

    @property
    def vector_names(self):
        return self.input, "told"

    def used_features(self, backbone):
        return {name: {*backbone.fusion.feature_keys, "pooled", "present"} for name in backbone.encoders}

    def needs_row(self, present):
        return present[self.input] and sum(present.values()) > 1

    def connect(self, backbone, connected):
        if len(backbone.encoders) < 2 or "fused" not in backbone.output:
            raise ValueError(
                f"MaskedModality predicts one modality from others by a fusion of the feature or model level. "
                f"Received: {sorted(backbone.encoders)}, fusion={type(backbone.fusion).__name__}"
            )
        hidden = backbone.encoded[self.input]
        absent = {**hidden, "present": ops.zeros_like(hidden["present"])}
        fused = backbone.fusion.join({**backbone.encoded, self.input: absent})["fused"]
        own, told = self.project(hidden["pooled"], self.input), self.project(fused["pooled"], "told")
        return self.pair(own, told, ops.logical_and(hidden["present"], fused["present"]), backbone)

    def get_config(self):
        return {"input": self.input, **super().get_config()}
