"""Two vectors of each row that are to find each other among those of other rows."""

import keras
import tensorflow as tf
from keras import ops

from mmkeras.distribute.replicas import gather_rows
from mmkeras.losses import info_nce
from mmkeras.pretraining.base import Measured

RANKS = (1, 5, 10)
LOSSES = ("info_nce", "sigmoid")


@keras.saving.register_keras_serializable(package="mmkeras")
class PairVectors(keras.layers.Layer):
    """Two vectors of a row to two whose product is their score: `s(a, b) = a b / (|a| |b| t) + c`.

    The temperature t is learned, and at least 0.01; the bias c is learned where it is wanted, and 0 else. It is written
    into the vectors, as one value more.

    Args:
        temperature: what it begins with.
        bias: what it begins with; None for none.

    Call arguments:
        one, other: `(batch, units)`.

    Returns: two tensors `(batch, units + 1)`, float32.
    """

    def __init__(self, temperature=0.07, bias=None, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self.temperature = temperature
        self.bias = bias

    def build(self, one_shape, other_shape=None):
        start = -float(ops.log(self.temperature))
        self.log_scale = self.add_weight(shape=(), initializer=keras.initializers.Constant(start), name="log_scale")
        if self.bias is not None:
            initializer = keras.initializers.Constant(self.bias)
            self.score_bias = self.add_weight(shape=(), initializer=initializer, name="score_bias")

    def call(self, one, other):
        one, other = ops.normalize(one, axis=-1), ops.normalize(other, axis=-1)
        scale = ops.exp(ops.minimum(self.log_scale, 4.605))
        column = ops.ones_like(one[:, :1])
        bias = column * (0.0 if self.bias is None else self.score_bias)
        return ops.concatenate([one * scale, bias], axis=1), ops.concatenate([other, column], axis=1)

    def compute_output_shape(self, one_shape, other_shape=None):
        return (*one_shape[:-1], one_shape[-1] + 1), (*one_shape[:-1], one_shape[-1] + 1)

    def get_config(self):
        return {**super().get_config(), "temperature": self.temperature, "bias": self.bias}


@keras.saving.register_keras_serializable(package="mmkeras")
class HashContent(keras.layers.Layer):
    """Two numbers of each row by which equal contents are known: sums of all values with fixed odd factors.

    Whole numbers, so that the order of the additions does not matter. Own design.

    Call arguments:
        tensors: dict of tensors `(batch, ...)`.

    Output shape: `(batch, 2)`, int32.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})

    def call(self, tensors):
        values = []
        for _, tensor in sorted(tensors.items()):
            flat = tf.reshape(tensor, [tf.shape(tensor)[0], -1])
            values.append(tf.bitcast(flat, tf.int32) if flat.dtype == tf.float32 else tf.cast(flat, tf.int32))
        values = tf.concat(values, axis=1)
        places = tf.range(tf.shape(values)[1], dtype=tf.int32)
        sums = []
        for first, second in ((-1640531527, 40503), (374761393, -2048144777)):
            factors = (places * first + second) | 1
            mixed = values * factors
            sums.append(tf.reduce_sum(tf.bitwise.bitwise_xor(mixed, tf.bitwise.right_shift(mixed, 15)), axis=1))
        return tf.stack(sums, axis=1)

    def compute_output_spec(self, tensors):
        return keras.KerasTensor((next(iter(tensors.values())).shape[0], 2), dtype="int32")


def name_metrics(names) -> tuple[str, ...]:
    """What `measure_pairs` finds, of two vectors that are called so."""
    return (*(f"recall_at_{rank}" for rank in RANKS), *(f"spread_{name}" for name in dict.fromkeys(names)))


def find_negatives(counts, hashes):
    """Which rows each row is told from, bool `(rows, rows)`: those that count, and have no content in common with it.

    Args:
        counts: bool `(rows,)`.
        hashes: `(rows, hashes, 2)`, as `HashContent` gives them.
    """
    same = ops.any(ops.all(ops.expand_dims(hashes, 1) == ops.expand_dims(hashes, 0), axis=-1), axis=-1)
    both = ops.logical_and(ops.expand_dims(counts, 0), ops.expand_dims(counts, 1))
    return ops.logical_and(both, ops.logical_not(same))


def measure_pairs(outputs, loss: str, names) -> Measured:
    """The loss of pairs among those of all replicas, and how many find each other.

    For scores `s_ij` of the one vector of row i and the other of row j, with j over i and the rows whose contents are
    all others than those of i: InfoNCE, `-log(exp(s_ii) / sum_j exp(s_ij))`, the mean of both directions (Radford et
    al., "Learning Transferable Visual Models From Natural Language Supervision", 2021); or the sigmoid loss,
    `sum_j log(1 + exp(-z_ij s_ij))` with `z_ii = 1` and else -1 (Zhai et al., "Sigmoid Loss for Language Image
    Pre-Training", 2023, equation 1). Rows with no other to be told from do not count.

    Args:
        outputs: dict of `one` and `other`, as `PairVectors` gives them; `counts`, bool `(batch,)`; and `hashes`,
            `(batch, hashes, 2)`.
        loss: `"info_nce"` or `"sigmoid"`.
        names: of the one and of the other, for the metrics.

    Returns: `Measured`, with recall at 1, 5 and 10 in this batch, and the spread of the vectors: the deviation of
        their values, in multiples of that of vectors in all directions; 0 where all are alike.
    """
    gathered = gather_rows({key: outputs[key] for key in ("one", "other", "counts", "hashes")})
    one, other, counts, hashes = (gathered[key] for key in ("one", "other", "counts", "hashes"))
    negatives = find_negatives(counts, hashes)
    used = ops.cast(ops.any(negatives, axis=1), "float32")
    scores = ops.matmul(one, ops.transpose(other))
    own = ops.diagonal(scores)
    if loss == "sigmoid":
        others = ops.sum(ops.where(negatives, ops.softplus(scores), 0.0), axis=1)
        losses = ops.softplus(-own) + others
    else:
        losses = (info_nce(scores, negatives) + info_nce(ops.transpose(scores), negatives)) / 2
    count = ops.sum(used)
    metrics = {}
    ranks = [_rank(each, own, negatives) for each in (scores, ops.transpose(scores))]
    for rank in RANKS:
        hits = sum(ops.cast(found < rank, "float32") for found in ranks) / 2
        metrics[f"recall_at_{rank}"] = ops.sum(used * hits), count
    present = ops.cast(counts, "float32")
    for name, vectors in zip(names, (one, other), strict=True):
        metrics[f"spread_{name}"] = _measure_spread(vectors[:, :-1], present), ops.cast(ops.sum(present) > 1, "float32")
    return Measured(ops.sum(used * losses), count, metrics)


def _rank(scores, own, negatives):
    """For each row how many others score at least as much as its own."""
    above = ops.logical_and(negatives, scores >= ops.expand_dims(own, 1))
    return ops.sum(ops.cast(above, "int32"), axis=1)


def _measure_spread(vectors, weights):
    vectors = ops.normalize(vectors, axis=-1)
    weights = ops.expand_dims(weights / ops.maximum(ops.sum(weights), 1.0), 1)
    mean = ops.sum(weights * vectors, axis=0)
    variances = ops.sum(weights * ops.square(vectors - mean), axis=0)
    return ops.sqrt(ops.sum(variances))
