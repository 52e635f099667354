import keras
from keras import ops

from mmkeras.fusion.base import Fusion, zero_absent
from mmkeras.layers import MissingEmbedding


@keras.saving.register_keras_serializable(package="mmkeras")
class CrossAttention(Fusion):
    """Model-level fusion: the tokens of each modality look at those of all others.

    For each modality i, with `Z_i` its projected tokens and `Z_j` those of the others, end to end:
    `Y_i = norm(Z_i + attention(query=Z_i, key=Z_j, value=Z_j))`, then `norm(Y_i + dense(relu(dense(Y_i))))`,
    averaged over the tokens that are there. The averages are concatenated and taken to `units`.
    Padding and absent modalities are masked out of attention and average; an absent modality's average is a
    learned vector. Reference: after the crossmodal attention of Tsai et al., MulT (2019), one block deep and
    without its causal convolutions.

    Args:
        units: size of the tokens and of the fused vector.
        num_heads: attention heads; divides `units`.
        dropout: share of the attention weights that is dropped in training.
        modality_dropout, seed: as for every `Fusion`.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, sum of lengths, units)`.

    Example:

    >>> mk.fusion.CrossAttention(units=32, num_heads=2).get_config()["num_heads"]
    2
    """

    min_modalities = 2
    reads = ("tokens", "mask", "present")
    passes_on = False

    def __init__(self, units=128, num_heads=4, dropout=0.0, modality_dropout=0.0, seed=None, **kwargs):
        super().__init__(units, modality_dropout, seed, **kwargs)
        if units % num_heads:
            raise ValueError(
                f"`num_heads` of CrossAttention divides `units`. Received: units={units}, num_heads={num_heads}"
            )
        self.num_heads = num_heads
        self.dropout = dropout

    def build_fusion(self, shapes):
        self.blocks = {}
        self.missing_embeddings = {}
        lengths = {name: shapes[name]["tokens"][1] for name in self.names}
        for name in self.names:
            block = _CrossBlock(self.units, self.num_heads, self.dropout, dtype=self.dtype_policy, name=f"{name}_block")
            block.build(shapes[name]["tokens"], sum(lengths.values()) - lengths[name])
            self.blocks[name] = block
            self.missing_embeddings[name] = MissingEmbedding(dtype=self.dtype_policy, name=f"{name}_missing")
            self.missing_embeddings[name].build((None, self.units))
        self.dense = keras.layers.Dense(self.units, activation="relu", dtype=self.dtype_policy, name="dense")
        self.dense.build((None, len(self.names) * self.units))

    def fuse(self, features, present, training):
        tokens, masks = {}, {}
        for name in self.names:
            tokens[name] = self.blocks[name].project(features[name]["tokens"])
            masks[name] = features[name]["mask"]
        modalities, pooled = {}, []
        for index, name in enumerate(self.names):
            others = [other for other in self.names if other != name]
            context = ops.concatenate([tokens[other] for other in others], axis=1)
            context_mask = ops.concatenate([masks[other] for other in others], axis=1)
            attended = self.blocks[name](tokens[name], context, context_mask, training=training)
            average = _average(attended, masks[name])
            pooled.append(self.missing_embeddings[name](average, present[:, index]))
            after = dict(tokens=attended, mask=masks[name], pooled=average, present=present[:, index])
            modalities[name] = zero_absent(after, present[:, index])
        tokens = ops.concatenate([modalities[name]["tokens"] for name in self.names], axis=1)
        mask = ops.concatenate([masks[name] for name in self.names], axis=1)
        return (tokens, mask, self.dense(ops.concatenate(pooled, axis=-1))), modalities

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "dropout": self.dropout}


def _average(tokens, mask):
    """Mean over the tokens that the mask keeps, `(batch, units)`; zero where it keeps none."""
    weights = ops.cast(ops.expand_dims(mask, -1), tokens.dtype)
    return ops.sum(tokens * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1)


class _CrossBlock(keras.layers.Layer):
    """One modality's part of `CrossAttention`: projection, attention to the others, feed-forward."""

    def __init__(self, units, num_heads, dropout, **kwargs):
        super().__init__(**kwargs)
        dtype = {"dtype": self.dtype_policy}
        self.units = units
        self.project = keras.layers.Dense(units, name="projection", **dtype)
        self.attention = keras.layers.MultiHeadAttention(
            num_heads, units // num_heads, dropout=dropout, name="attention", **dtype
        )
        self.attention_norm = keras.layers.LayerNormalization(name="attention_norm", **dtype)
        self.expand = keras.layers.Dense(2 * units, activation="relu", name="expand", **dtype)
        self.contract = keras.layers.Dense(units, name="contract", **dtype)
        self.output_norm = keras.layers.LayerNormalization(name="output_norm", **dtype)

    def build(self, tokens_shape, context_length):
        batch, length, _ = tokens_shape
        own, context = (batch, length, self.units), (batch, context_length, self.units)
        self.project.build(tokens_shape)
        self.attention.build(own, context)
        self.attention_norm.build(own)
        self.expand.build(own)
        self.contract.build((batch, length, 2 * self.units))
        self.output_norm.build(own)
        self.built = True

    def call(self, tokens, context, context_mask, training=False):
        attended = self.attention(tokens, context, attention_mask=context_mask[:, None, :], training=training)
        # With nothing to look at, attention would average the padding.
        has_context = ops.any(context_mask, axis=1)[:, None, None]
        attended = ops.where(has_context, attended, ops.zeros_like(attended))
        tokens = self.attention_norm(tokens + attended)
        return self.output_norm(tokens + self.contract(self.expand(tokens)))
