"""Tokens that attend to each other."""

import keras

from mmkeras.encoders.base import Encoder
from mmkeras.layers import AttentionBlock, PositionEmbedding


def attend(
    tokens,
    mask,
    num_layers: int,
    num_heads: int,
    dropout: float,
    is_causal: bool = False,
    positions: str | None = "learned",
    prefix: str = "",
):
    """Blocks of self-attention over tokens `(batch, length, units)`; padding, False in the mask, is not looked at.

    Args:
        num_layers, num_heads: blocks, and attention heads of each.
        dropout: share of the tokens' values, and of the attention weights, that is dropped in training.
        is_causal: whether a token sees only those before it and itself.
        positions: what attention knows of places: `"learned"`, a vector that is added; `"rotary"`, distances; None,
            nothing.
        prefix: of the names of the layers, where a model has several of these.

    Returns: the tokens after the last block.
    """
    if positions not in ("learned", "rotary", None):
        raise ValueError(f"`positions` is 'learned', 'rotary' or None. Received: positions={positions!r}")
    if positions == "learned":
        tokens = PositionEmbedding(name=f"{prefix}position")(tokens)
    tokens = keras.layers.Dropout(dropout, name=f"{prefix}tokens_dropout")(tokens)
    for index in range(num_layers):
        block = AttentionBlock(
            tokens.shape[-1],
            num_heads,
            dropout,
            is_causal=is_causal,
            is_rotary=positions == "rotary",
            name=f"{prefix}block_{index}",
        )
        tokens = block(tokens, tokens, mask)
    return tokens


class AttentionEncoder(Encoder):
    """Base of the encoders whose tokens attend to each other.

    Args:
        units: size of the tokens and of the pooled vector.
        num_layers: blocks.
        num_heads: attention heads; divides `units`.
        dropout: share of the tokens' values and of the attention weights that is dropped in training.
    """

    def __init__(self, units: int = 64, num_layers: int = 2, num_heads: int = 4, dropout: float = 0.1):
        super().__init__(units)
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout = dropout

    def attend(self, tokens, mask, **options):
        """`attend` with what the encoder was given."""
        return attend(tokens, mask, self.num_layers, self.num_heads, self.dropout, **options)

    def get_config(self):
        return {
            **super().get_config(),
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
        }
