"""Attention of some tokens to others, with what stands around it."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="mmkeras")
class AttentionBlock(keras.layers.Layer):
    """Tokens look at a context: `y = norm(x + attention(x, context))`, then `norm(y + dense(relu(dense(y))))`.

    With the tokens as their own context it is a block of the transformer (Vaswani et al., "Attention Is All You Need",
    2017). Where the mask leaves no context, nothing is attended to.

    Args:
        units: size of the tokens and of the context.
        num_heads: attention heads; divides `units`.
        dropout: share of the attention weights that is dropped in training.

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

    def __init__(self, units, num_heads, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        dtype = {"dtype": self.dtype_policy}
        self.units = units
        self.num_heads = num_heads
        self.dropout = dropout
        self.attention = keras.layers.MultiHeadAttention(
            num_heads, units // num_heads, dropout=dropout, name="attention", **dtype
        )
        self.attention_norm = keras.layers.LayerNormalization(name="attention_norm", **dtype)
        self.expand = keras.layers.Dense(2 * units, activation="relu", name="expand", **dtype)
        self.contract = keras.layers.Dense(units, name="contract", **dtype)
        self.output_norm = keras.layers.LayerNormalization(name="output_norm", **dtype)

    def build(self, tokens_shape, context_shape=None, context_mask_shape=None):
        batch, length, _ = tokens_shape
        own = (batch, length, self.units)
        self.attention.build(own, (batch, (context_shape or own)[1], self.units))
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

    def compute_output_shape(self, tokens_shape, context_shape=None, context_mask_shape=None):
        return tokens_shape

    def get_config(self):
        return {**super().get_config(), "units": self.units, "num_heads": self.num_heads, "dropout": self.dropout}
