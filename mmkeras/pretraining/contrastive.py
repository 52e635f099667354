import keras
from keras import ops

from mmkeras.pretraining.base import Objective
from mmkeras.pretraining.pairs import LOSSES, HashContent, PairVectors, measure_pairs, name_metrics


class PairObjective(Objective):
    """Base of the objectives by which two vectors of a row find each other among those of other rows.

    Args:
        inputs: names of the inputs.
        units: size of the vectors; None for the pooled vectors as they are.
        hidden_units: of a hidden layer before them; 0 for none.
        loss: `"info_nce"` or `"sigmoid"`.
        temperature: by which cosines are divided at the beginning; it is learned.
        weight, name: see `Objective`.
    """

    needs_several_rows = True
    gathers_rows = True

    def __init__(self, inputs, units, hidden_units, loss, temperature, weight, name):
        super().__init__(inputs, weight, name)
        if loss not in LOSSES:
            raise ValueError(f"`loss` of {type(self).__name__} is one of {list(LOSSES)}. Received: loss={loss!r}")
        if units is None and hidden_units:
            raise ValueError(
                "A hidden layer stands before vectors of some `units`. "
                f"Received: units=None, hidden_units={hidden_units}"
            )
        if not 0.01 <= temperature <= 1:
            raise ValueError(f"`temperature` lies between 0.01 and 1. Received: temperature={temperature}")
        self.units = units
        self.hidden_units = hidden_units
        self.loss = loss
        self.temperature = temperature

    @property
    def vector_names(self) -> tuple[str, str]:
        """What the one and the other vector are called."""
        return self.inputs[0], self.inputs[-1]

    @property
    def metric_names(self):
        return name_metrics(self.vector_names)

    def project(self, pooled, name: str):
        """The vector of this name, `(batch, units)`, of a pooled one; the layers of a name are made once."""
        if self.units is None:
            return pooled
        if self.hidden_units:
            hidden = keras.layers.Dense(self.hidden_units, "gelu", name=self.layer_name(f"{name}_hidden"))
            pooled = hidden(pooled)
        return keras.layers.Dense(self.units, use_bias=False, name=self.layer_name(f"{name}_vector"))(pooled)

    def pair(self, one, other, counts, backbone) -> dict:
        """What `measure_pairs` reads."""
        if one.shape[-1] != other.shape[-1]:
            raise ValueError(
                f"{type(self).__name__}(units=None) compares pooled vectors of one size: give the encoders the same "
                f"`units`, or the objective some. Received: {one.shape[-1]} and {other.shape[-1]}"
            )
        bias = -10.0 if self.loss == "sigmoid" else None
        one, other = PairVectors(self.temperature, bias, name=self.layer_name("scores"))(one, other)
        hashes = []
        for name in self.inputs:
            parts = backbone.preprocessor.tensor_names(name)
            tensors = {part: backbone.input[key] for part, key in parts.items() if part != "present"}
            hashes.append(HashContent(name=self.layer_name(f"{name}_hash"))(tensors))
        return {"one": one, "other": other, "counts": counts, "hashes": ops.stack(hashes, axis=1)}

    def measure(self, outputs):
        return measure_pairs(outputs, self.loss, self.vector_names)

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "hidden_units": self.hidden_units,
            "loss": self.loss,
            "temperature": self.temperature,
        }


@keras.saving.register_keras_serializable(package="mmkeras")
class Contrastive(PairObjective):
    """Two modalities of a row find each other among those of other rows.

    Each gets a vector, a linear projection of its pooled one; their cosine, divided by a learned temperature, is
    the score of a pair (`mmkeras.pretraining.pairs.measure_pairs`). Rows that lack one of both do not count. Rows with
    an equal text, image or recording are no negatives of each other. Of several replicas all rows are negatives.

    Args:
        one, other: names of the inputs.
        units: size of the vectors; None to compare the pooled vectors as they are, which then have one size: the
            backbone is searched without the pretrainer, and a frozen encoder keeps what it knows of how near things
            are (Zhai et al., "LiT: Zero-Shot Transfer with Locked-image text Tuning", 2022).
        hidden_units: of a hidden layer before each; 0 for none.
        loss: `"info_nce"`, that of CLIP (Radford et al., 2021), or `"sigmoid"`, that of SigLIP (Zhai et al., 2023),
            which suits small batches.
        temperature: what it begins with; by default 0.07, with the sigmoid 0.1.
        weight: of its loss in the sum of several.
        name: of its metrics.

    Metrics: recall at 1, 5 and 10 in the batch, mean of both directions; spread of the vectors of each, 1 in all
        directions, 0 where all are alike.

    Raises:
        ValueError: for one input twice, another loss or temperature.

    Example:

    >>> rows = mk.read([{"color": c, "price": p} for c, p in (("red", 1), ("blue", 5)) * 8])
    >>> modalities = {"color": mk.Text(), "price": mk.Tabular(["price"])}
    >>> pretrainer = mk.pretraining.Pretrainer.from_source(
    ...     rows, modalities, [mk.pretraining.Contrastive("color", "price", units=8)]
    ... )
    >>> history = pretrainer.fit(pretrainer.dataset(rows, 8), epochs=2, verbose=0).history
    >>> history["contrastive_color_price_recall_at_5"]
    [1.0, 1.0]
    """

    kind = "contrastive"

    def __init__(
        self,
        one: str,
        other: str,
        units: int | None = 128,
        hidden_units: int = 0,
        loss: str = "info_nce",
        temperature: float | None = None,
        weight: float = 1.0,
        name: str | None = None,
    ):
        if one == other:
            raise ValueError(
                f"Contrastive pairs two inputs; for two views of one: mk.pretraining.TwoViews({one!r}). "
                f"Received: one={one!r}, other={other!r}"
            )
        temperature = temperature or (0.1 if loss == "sigmoid" else 0.07)
        super().__init__((one, other), units, hidden_units, loss, temperature, weight, name)
        self.one, self.other = one, other

    def connect(self, backbone, connected):
        features = [backbone.encoded[name] for name in self.inputs]
        one, other = (self.project(each["pooled"], name) for each, name in zip(features, self.inputs, strict=True))
        return self.pair(one, other, ops.logical_and(*(each["present"] for each in features)), backbone)

    def get_config(self):
        return {"one": self.one, "other": self.other, **super().get_config()}
