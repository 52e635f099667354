"""Attention of some tokens to others, with what stands around it."""

import keras
from keras import ops

from mmkeras.layers.rotary import RotaryAttention


@keras.saving.register_keras_serializable(package="mmkeras")
class AttentionBlock(keras.layers.Layer):
    """Tokens look at a context: `y = x + attention(norm(x), norm(context))`, `z = norm(y)`, `y + W (silu(U z) * V z)`.

    With the tokens as their own context it is a block of the transformer (Vaswani et al., "Attention Is All You Need",
    2017) with the norm first (Xiong et al., "On Layer Normalization in the Transformer Architecture", 2020) and a gated
    step (Shazeer, "GLU Variants Improve Transformer", 2020), which multiplies what attention has added up. Where the
    mask leaves no context, nothing is attended to.

    Args:
        units: size of the tokens and of the context.
        num_heads: attention heads; divides `units`.
        dropout: share of the attention weights that is dropped in training.
        is_original: whether it is the block of 2017: `y = norm(x + attention(x, context))`, then
            `norm(y + dense(relu(dense(y))))`.
        is_causal: whether a token sees only the context up to its own place.
        is_rotary: whether attention knows how far apart two tokens are (`mk.layers.RotaryAttention`).

    Call arguments:
        tokens: `(batch, length, units)`.
        context: `(batch, context length, units)`.
        context_mask: bool `(batch, context length)`.

    Output shape: as `tokens`.

    Example:

    >>> tokens, mask = np.ones((2, 3, 8)), np.ones((2, 3), bool)
    >>> AttentionBlock(8, num_heads=2)(tokens, tokens, mask).shape.as_list()
    [2, 3, 8]
    """

    def __init__(self, units, num_heads, dropout=0.0, is_original=False, is_causal=False, is_rotary=False, **kwargs):
        super().__init__(**kwargs)
        dtype = {"dtype": self.dtype_policy}
        self.units = units
        self.num_heads = num_heads
        self.dropout = dropout
        self.is_original = is_original
        self.is_causal = is_causal
        self.is_rotary = is_rotary
        attention = RotaryAttention if is_rotary else keras.layers.MultiHeadAttention
        self.attention = attention(num_heads, units // num_heads, dropout=dropout, name="attention", **dtype)
        self.attention_norm = keras.layers.LayerNormalization(name="attention_norm", **dtype)
        activation = "relu" if is_original else None
        self.expand = keras.layers.Dense(2 * units, activation=activation, name="expand", **dtype)
        self.gate = None if is_original else keras.layers.Dense(2 * units, name="gate", **dtype)
        self.contract = keras.layers.Dense(units, name="contract", **dtype)
        self.output_norm = keras.layers.LayerNormalization(name="output_norm", **dtype)

    def build(self, tokens_shape, context_shape=None, context_mask_shape=None):
        batch, length, _ = tokens_shape
        own = (batch, length, self.units)
        self.attention.build(own, (batch, (context_shape or own)[1], self.units))
        self.attention_norm.build(own)
        self.expand.build(own)
        if self.gate is not None:
            self.gate.build(own)
        self.contract.build((batch, length, 2 * self.units))
        self.output_norm.build(own)
        self.built = True

    def call(self, tokens, context, context_mask, training=False):
        if self.is_original:
            tokens = self.attention_norm(tokens + self._attend(tokens, context, context_mask, training))
            return self.output_norm(tokens + self.contract(self.expand(tokens)))
        normalized = self.attention_norm(tokens)
        context = normalized if context is tokens else self.attention_norm(context)
        tokens = tokens + self._attend(normalized, context, context_mask, training)
        normalized = self.output_norm(tokens)
        return tokens + self.contract(swiglu(self.gate(normalized), self.expand(normalized)))

    def _attend(self, tokens, context, context_mask, training):
        mask = context_mask[:, None, :]
        attended = self.attention(
            tokens, context, attention_mask=mask, use_causal_mask=self.is_causal, training=training
        )
        # With nothing to look at, attention would average the padding.
        has_context = ops.any(context_mask, axis=1)[:, None, None]
        return ops.where(has_context, attended, ops.zeros_like(attended))

    def compute_output_shape(self, tokens_shape, context_shape=None, context_mask_shape=None):
        return tokens_shape

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "is_original": self.is_original,
            "is_causal": self.is_causal,
            "is_rotary": self.is_rotary,
        }


def swiglu(scores, values):
    """`silu(scores) * values`; the op `silu` of TensorFlow has a gradient that no SavedModel can hold."""
    return scores * ops.sigmoid(scores) * values
