from collections.abc import Sequence

import keras
from keras import ops

from mmkeras.heads.base import Head
from mmkeras.layers import AttentionPooling


@keras.saving.register_keras_serializable(package="mmkeras")
class AttentionHead(Head):
    """Features to the logits of several targets, each of which looks at the tokens for itself.

    One pooled vector has to say all that any target asks for; of a sentence, each word is said at a time of its own. So
    a target is given, beside a dense layer with ReLU of the pooled vector, which all share, a mean of the tokens of all
    modalities by an attention of its own (`mk.layers.AttentionPooling`). Reference: the output queries of Jaegle et
    al., "Perceiver IO: A General Architecture for Structured Inputs & Outputs" (2022), one for each target.

    Args:
        units: for each target how many logits.
        hidden_units: units of the first dense layer, and of the tokens and of their attention.
        dropout: share of what each target reads that is dropped in training.

    Call arguments:
        features: what a `Backbone` gives: `fused`, of which `pooled` `(batch, dim)` is read, and `modalities`, for each
            its `Features`, of which `tokens` and `mask` are read.

    Output shape: `(batch, sum(units))`, float32, the logits of one target after those of another.

    Example:

    >>> head = mk.heads.AttentionHead(units=[3, 10])
    >>> sound = {"tokens": np.ones((2, 5, 8)), "mask": np.ones((2, 5), bool)}
    >>> head({"fused": {"pooled": np.ones((2, 8))}, "modalities": {"sound": sound}}).shape.as_list()
    [2, 13]
    """

    feature_keys = ("pooled", "tokens", "mask")
    source = "all"

    def __init__(self, units: Sequence[int], hidden_units=64, dropout=0.0, **kwargs):
        super().__init__(list(units), hidden_units, dropout, **kwargs)
        policy = self.dtype_policy
        self.attention = [
            AttentionPooling(hidden_units, dtype=policy, name=f"attention_{index}") for index in range(len(units))
        ]
        self.logits = [
            keras.layers.Dense(count, dtype="float32", name=f"logits_{index}") for index, count in enumerate(units)
        ]

    def build(self, features_shape):
        self.hidden.build(features_shape["fused"]["pooled"])
        self.projections = {}
        for name, shapes in sorted(features_shape["modalities"].items()):
            # Without a bias padding stays zero.
            self.projections[name] = keras.layers.Dense(
                self.hidden_units, use_bias=False, dtype=self.dtype_policy, name=f"{name}_projection"
            )
            self.projections[name].build(shapes["tokens"])
        for attention, logits in zip(self.attention, self.logits, strict=True):
            attention.build((None, None, self.hidden_units))
            logits.build((None, 2 * self.hidden_units))

    def call(self, features, training=False):
        modalities = features["modalities"]
        vector = self.hidden(features["fused"]["pooled"])
        tokens = ops.concatenate([layer(modalities[name]["tokens"]) for name, layer in self.projections.items()], 1)
        mask = ops.concatenate([modalities[name]["mask"] for name in self.projections], 1)
        return ops.concatenate(
            [
                logits(self.drop(ops.concatenate([vector, attention(tokens, mask)], -1), training=training))
                for attention, logits in zip(self.attention, self.logits, strict=True)
            ],
            axis=-1,
        )

    def compute_output_spec(self, features, training=False):
        return keras.KerasTensor((features["fused"]["pooled"].shape[0], sum(self.units)), dtype="float32")
