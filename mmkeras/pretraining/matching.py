import keras
import tensorflow as tf
from keras import ops

from mmkeras.pretraining.base import Measured, Objective
from mmkeras.pretraining.contrastive import Contrastive
from mmkeras.pretraining.pairs import find_negatives


@keras.saving.register_keras_serializable(package="mmkeras")
class HardNegatives(keras.layers.Layer):
    """For each row another one that is mistaken for it: drawn by how well their vectors fit, `softmax_j(s_ij)`.

    Args:
        seed: of the draws.

    Call arguments:
        one, other: `(batch, units)`, whose products are the scores.
        counts: bool `(batch,)`.
        hashes: `(batch, hashes, 2)`; rows with an equal one are none.

    Returns: for each row the row of its false other, and of its false one, int `(batch,)`; and whether there is any,
        bool `(batch,)`.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, one, other, counts, hashes):
        negatives = find_negatives(counts, hashes)
        scores = ops.stop_gradient(ops.matmul(one, ops.transpose(other)))
        drawn = []
        for direction in (scores, ops.transpose(scores)):
            noise = keras.random.uniform(ops.shape(direction), 1e-6, 1 - 1e-6, seed=self.generator)
            gumbel = -ops.log(-ops.log(noise))
            drawn.append(ops.argmax(ops.where(negatives, direction + gumbel, -1e9), axis=1))
        return (*(ops.cast(each, "int32") for each in drawn), ops.any(negatives, axis=1))

    def compute_output_spec(self, one, other, counts, hashes):
        return tuple(keras.KerasTensor(counts.shape, dtype=dtype) for dtype in ("int32", "int32", "bool"))

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


@keras.saving.register_keras_serializable(package="mmkeras")
class Matching(Objective):
    """Whether two modalities belong to one row, told by what the fusion makes of them.

    Each row is asked three times: as it is, with a false one and with a false other, which a `Contrastive` of the same
    inputs mistakes for the true ones; give that before it. Rows with nothing to be mistaken for do not count. Of
    several replicas each draws from its own rows. Reference: Li et al., "Align before Fuse" (ALBEF, 2021), section 3.2.

    Args:
        one, other: names of the inputs.
        weight, name: see `Objective`.

    Metrics: accuracy, 2/3 where nothing is told.

    Raises:
        ValueError: in a `Pretrainer`, without a `Contrastive` before it, and for fusions of the decision level.

    Example:

    >>> rows = mk.read([{"color": c, "price": p} for c, p in (("red", 1), ("blue", 5)) * 8])
    >>> modalities = {"color": mk.Text(), "price": mk.Tabular(["price"])}
    >>> objectives = [mk.pretraining.Contrastive("color", "price"), mk.pretraining.Matching("color", "price")]
    >>> pretrainer = mk.pretraining.Pretrainer.from_source(rows, modalities, objectives)
    >>> history = pretrainer.fit(pretrainer.dataset(rows, 8), verbose=0).history
    >>> 0 <= history["matching_color_price_accuracy"][0] <= 1
    True
    """

    kind = "matching"
    metric_names = ("accuracy",)
    needs_several_rows = True
    reads_fused = True

    def __init__(self, one: str, other: str, weight: float = 1.0, name: str | None = None):
        super().__init__((one, other), weight, name)
        self.one, self.other = one, other

    def used_features(self, backbone):
        return {name: {*backbone.fusion.feature_keys, "present"} for name in backbone.encoders}

    def connect(self, backbone, connected):
        if "fused" not in backbone.output:
            raise ValueError(
                "Matching reads what a fusion of the feature or model level makes of both. "
                f"Received: fusion={type(backbone.fusion).__name__}"
            )
        made = [each for each in connected if isinstance(each, Contrastive) and set(each.inputs) == set(self.inputs)]
        if not made:
            raise ValueError(
                f"Matching takes rows that Contrastive({self.one!r}, {self.other!r}) mistakes for each other: give it "
                f"before. Received: {[each.name for each in connected]}"
            )
        one, other, counts, hashes = (connected[made[0]][key] for key in ("one", "other", "counts", "hashes"))
        if made[0].inputs != self.inputs:
            one, other = other, one
        draw = HardNegatives(name=self.layer_name("negatives"))
        false_other, false_one, has_false = draw(one, other, counts, hashes)
        head = keras.layers.Dense(1, name=self.layer_name("logit"), dtype="float32")
        logits = []
        for name, rows in ((None, None), (self.other, false_other), (self.one, false_one)):
            features = dict(backbone.encoded)
            if name is not None:
                features[name] = {key: ops.take(tensor, rows, axis=0) for key, tensor in features[name].items()}
            logits.append(head(backbone.fusion.join(features)["fused"]["pooled"]))
        return {"logits": ops.concatenate(logits, axis=1), "counts": has_false}

    def measure(self, outputs):
        """The mean cross-entropy of the three questions to each row."""
        logits, weights = outputs["logits"], ops.cast(outputs["counts"], "float32")
        truth = ops.ones_like(logits) * ops.convert_to_tensor([[1.0, 0.0, 0.0]])
        losses = ops.mean(tf.nn.sigmoid_cross_entropy_with_logits(truth, logits), axis=1)
        right = ops.mean(ops.cast(ops.equal(logits > 0, truth > 0.5), "float32"), axis=1)
        count = ops.sum(weights)
        return Measured(ops.sum(weights * losses), count, {"accuracy": (ops.sum(weights * right), count)})

    def get_config(self):
        return {"one": self.one, "other": self.other, **super().get_config()}
