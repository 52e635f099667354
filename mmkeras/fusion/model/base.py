import keras
from keras import ops

from mmkeras.features import FEATURES
from mmkeras.fusion.base import MODALITY_DROPOUT, Fusion, zero_absent
from mmkeras.layers import AttentionBlock, MissingEmbedding
from mmkeras.layers.attention import swiglu
from mmkeras.layers.pooling import average


class TokenFusion(Fusion):
    """Base of the model-level fusions: the tokens of all modalities are projected to `units`, and attend to each other.

    The pooled vector of each modality goes before its tokens, as a token of its own. The tokens come out changed and
    normalized (Ba et al., "Layer Normalization", 2016), and the pooled vectors, concatenated, are taken to `units` by a
    gated dense layer; that of an absent modality is a learned one. Padding and absent modalities are masked out of
    attention.

    Args:
        units: size of the tokens and of the fused vector.
        num_heads: attention heads; divides `units`.
        dropout: share of the attention weights that is dropped in training.
        modality_dropout, seed: as for every `Fusion`.
    """

    feature_keys = FEATURES
    passes_on = False
    has_pooled_tokens = True

    def __init__(self, units=128, num_heads=4, dropout=0.0, modality_dropout=MODALITY_DROPOUT, seed=None, **kwargs):
        super().__init__(units, modality_dropout, seed, **kwargs)
        if num_heads < 1 or units % num_heads:
            raise ValueError(
                f"`num_heads` of {type(self).__name__} divides `units`. Received: units={units}, num_heads={num_heads}"
            )
        self.num_heads = num_heads
        self.dropout = dropout

    def build_fusion(self, shapes):
        self.build_projections({name: shapes[name]["tokens"] for name in self.names})
        self.pooled_projections = {}
        for name in self.names if self.has_pooled_tokens else []:
            projection = keras.layers.Dense(self.units, dtype=self.dtype_policy, name=f"{name}_pooled_projection")
            projection.build(shapes[name]["pooled"])
            self.pooled_projections[name] = projection
        added = int(self.has_pooled_tokens)
        count = self.build_attention({name: added + shapes[name]["tokens"][1] for name in self.names})
        self.norms, self.summary_norms = {}, []
        if self.has_pooled_tokens:
            self.norms = {name: self._make_norm(f"{name}_norm") for name in self.names}
            self.summary_norms = [self._make_norm(f"norm_{index}") for index in range(count)]
        self.missing_embeddings = {}
        for name in self.names:
            self.missing_embeddings[name] = MissingEmbedding(dtype=self.dtype_policy, name=f"{name}_missing")
            self.missing_embeddings[name].build((None, self.units))
        vectors_shape = None, (len(self.names) + count) * self.units
        activation = None if self.has_pooled_tokens else "relu"
        self.dense = keras.layers.Dense(self.units, activation=activation, dtype=self.dtype_policy, name="dense")
        self.dense.build(vectors_shape)
        self.gate = None
        if self.has_pooled_tokens:
            self.gate = keras.layers.Dense(self.units, dtype=self.dtype_policy, name="gate")
            self.gate.build(vectors_shape)

    def _make_norm(self, name):
        norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name=name)
        norm.build((None, None, self.units))
        return norm

    def build_projections(self, shapes):
        self.projections = {}
        for name, shape in shapes.items():
            self.projections[name] = keras.layers.Dense(self.units, dtype=self.dtype_policy, name=f"{name}_projection")
            self.projections[name].build(shape)

    def build_attention(self, lengths) -> int:
        """Makes the layers that `attend` uses, for so many tokens a modality; returns how many vectors it gives."""
        raise NotImplementedError

    def project(self, name, tokens):
        """The tokens of a modality to `(batch, length, units)`."""
        return self.projections[name](tokens)

    def attend(self, tokens, masks, present, training):
        """Projected tokens and masks by name, the pooled vector first, and `present` `(batch, modalities)`, to the
        tokens after the fusion by name, and to a list of other vectors `(batch, units)` that tell of the row.
        """
        raise NotImplementedError

    def fuse(self, features, present, training):
        tokens, masks = {}, {}
        for index, name in enumerate(self.names):
            tokens[name], masks[name] = self.project(name, features[name]["tokens"]), features[name]["mask"]
            if self.has_pooled_tokens:
                pooled = ops.expand_dims(self.pooled_projections[name](features[name]["pooled"]), 1)
                tokens[name] = ops.concatenate([pooled, tokens[name]], axis=1)
                masks[name] = ops.concatenate([present[:, index : index + 1], masks[name]], axis=1)
        attended, vectors = self.attend(tokens, masks, present, training)
        if self.has_pooled_tokens:
            attended = {name: self.norms[name](attended[name]) for name in self.names}
            vectors = [norm(vector) for norm, vector in zip(self.summary_norms, vectors, strict=True)]
        modalities = {}
        for index, name in enumerate(self.names):
            after = self._read_attended(attended[name], masks[name])
            vectors.append(self.missing_embeddings[name](after["pooled"], present[:, index]))
            modalities[name] = zero_absent(after, present[:, index])
        tokens = ops.concatenate([modalities[name]["tokens"] for name in self.names], axis=1)
        mask = ops.concatenate([modalities[name]["mask"] for name in self.names], axis=1)
        vectors = ops.concatenate(vectors, axis=-1)
        pooled = self.dense(vectors) if self.gate is None else swiglu(self.gate(vectors), self.dense(vectors))
        return (tokens, mask, pooled), modalities

    def _read_attended(self, tokens, mask):
        if self.has_pooled_tokens:
            return dict(tokens=tokens[:, 1:], mask=mask[:, 1:], pooled=tokens[:, 0])
        return dict(tokens=tokens, mask=mask, pooled=average(tokens, mask))

    def make_block(self, name, length, context_length):
        """An `AttentionBlock` for so many tokens and so much context."""
        block = AttentionBlock(self.units, self.num_heads, self.dropout, dtype=self.dtype_policy, name=name)
        block.build((None, length, self.units), (None, context_length, self.units))
        return block

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "dropout": self.dropout}


class Latents(keras.layers.Layer):
    """Learned tokens, the same for each row: `(batch, ...)` of any tokens to `(batch, count, units)`."""

    def __init__(self, count, units, **kwargs):
        super().__init__(**kwargs)
        self.count = count
        self.units = units

    def build(self, tokens_shape):
        self.latents = self.add_weight(shape=(1, self.count, self.units), initializer="random_normal", name="latents")

    def call(self, tokens):
        # By addition, because the batch has no fixed size in an artifact.
        return ops.zeros_like(tokens[:, :1]) + ops.cast(self.latents, tokens.dtype)


def split_tokens(tokens, lengths):
    """Tokens `(batch, sum of lengths, units)` to a list of `(batch, length, units)`."""
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    return [tokens[:, start : start + length] for start, length in zip(starts, lengths, strict=True)]
