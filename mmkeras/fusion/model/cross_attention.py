import keras
from keras import ops

from mmkeras.fusion.base import MODALITY_DROPOUT
from mmkeras.fusion.model.base import TokenFusion
from mmkeras.layers import AttentionBlock


@keras.saving.register_keras_serializable(package="mmkeras")
class CrossAttention(TokenFusion):
    """Model-level fusion: the tokens of each modality look at those of all others; a single one looks at its own.

    For each modality i, with `Z_i` its projected tokens and `Z_j` those of the others, end to end:
    `Y_i = Z_i + attention(query=norm(Z_i), key=norm(Z_j), value=norm(Z_j))`, then the gated step of `AttentionBlock`.
    Reference: after the crossmodal attention of Tsai et al., MulT (2019), one block deep and without its causal
    convolutions.

    Args:
        units, num_heads, dropout, modality_dropout, seed: as for every `TokenFusion`.
        has_pooled_tokens: whether the pooled vectors attend too; else, as in older files, the tokens are averaged after
            the fusion, and the blocks are those of 2017.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, sum of lengths, units)`.

    Example:

    >>> mk.fusion.CrossAttention(units=32, num_heads=2).get_config()["num_heads"]
    2
    """

    def __init__(
        self,
        units=128,
        num_heads=4,
        dropout=0.0,
        modality_dropout=MODALITY_DROPOUT,
        seed=None,
        has_pooled_tokens=True,
        **kwargs,
    ):
        super().__init__(units, num_heads, dropout, modality_dropout, seed, **kwargs)
        self.has_pooled_tokens = has_pooled_tokens
        if not has_pooled_tokens:
            self.feature_keys = ("tokens", "mask", "present")

    def build_projections(self, shapes):
        added = int(self.has_pooled_tokens)
        total = sum(added + shape[1] for shape in shapes.values())
        self.blocks = {}
        for name, shape in shapes.items():
            block = _CrossBlock(
                self.units,
                self.num_heads,
                self.dropout,
                is_original=not self.has_pooled_tokens,
                dtype=self.dtype_policy,
                name=f"{name}_block",
            )
            context_length = total - shape[1] - added if len(shapes) > 1 else total
            block.build(shape, (shape[0], context_length, self.units))
            self.blocks[name] = block

    def build_attention(self, lengths):
        return 0

    def project(self, name, tokens):
        return self.blocks[name].project(tokens)

    def attend(self, tokens, masks, present, training):
        attended = {}
        for name in self.names:
            others = [other for other in self.names if other != name] or [name]
            context = ops.concatenate([tokens[other] for other in others], axis=1)
            mask = ops.concatenate([masks[other] for other in others], axis=1)
            attended[name] = self.blocks[name](tokens[name], context, mask, training=training)
        return attended, []

    def get_config(self):
        return {**super().get_config(), "has_pooled_tokens": self.has_pooled_tokens}

    @classmethod
    def from_config(cls, config):
        return cls(**{"has_pooled_tokens": False, **config})  # which older files do not say


class _CrossBlock(AttentionBlock):
    """One modality's part: projection, attention to the others, feed-forward."""

    def __init__(self, units, num_heads, dropout, **kwargs):
        super().__init__(units, num_heads, dropout, **kwargs)
        self.project = keras.layers.Dense(units, name="projection", dtype=self.dtype_policy)

    def build(self, tokens_shape, context_shape=None, context_mask_shape=None):
        self.project.build(tokens_shape)
        super().build((*tokens_shape[:2], self.units), context_shape)
