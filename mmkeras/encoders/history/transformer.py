import keras

from mmkeras.encoders.attention import AttentionEncoder
from mmkeras.encoders.history.items import choose_one, embed_items, find_last


@keras.saving.register_keras_serializable(package="mmkeras")
class HistoryTransformer(AttentionEncoder):
    """Items, each with the gap before it, that attend to those before them.

    `num_layers` blocks of causal self-attention; the pooled vector is the token of the last item. Reference: Kang and
    McAuley, "Self-Attentive Sequential Recommendation" (SASRec, 2018); the embedding of gaps is our own.

    Args:
        units: size of the vectors that stand for items, of the tokens, and of the pooled vector.
        num_layers: blocks.
        num_heads: attention heads; divides `units`.
        dropout: share of the tokens' values and of the attention weights that is dropped in training.

    Example:

    >>> encoder = mk.encoders.HistoryTransformer(units=8)
    >>> clicks = mk.History(sequence_length=4, items=["tea", "cup"], encoder=encoder)
    >>> clicks.build_encoder("clicks").output["tokens"].shape
    (None, 4, 8)
    """

    token_per_step = True

    def __init__(self, units: int = 64, num_layers: int = 2, num_heads: int = 2, dropout: float = 0.2):
        super().__init__(units, num_layers, num_heads, dropout)

    def encode(self, inputs, preprocessor):
        embedded, mask = embed_items(inputs, preprocessor, self.units)
        tokens = self.attend(embedded, mask, is_causal=True)
        return tokens, mask, choose_one(tokens, find_last(mask))
