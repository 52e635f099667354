import keras
from keras import ops

from mmkeras.fusion.base import MODALITY_DROPOUT
from mmkeras.fusion.model.base import Latents, TokenFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class Perceiver(TokenFusion):
    """Model-level fusion: a few learned tokens look at those of all modalities, whose number then costs little.

    `L = block(L_0, [Z_1; ...; Z_n])`, with `Z_i` the projected tokens of modality i and `L_0` learned; then
    `num_layers` blocks of self-attention over L, and `Z_i = block_i(Z_i, L)`. The mean of L is a summary of the row
    beside the averages. Reference: Jaegle et al., "Perceiver: General Perception with Iterative Attention" (2021).

    Args:
        units, num_heads, dropout, modality_dropout, seed: as for every `TokenFusion`.
        num_layers: blocks of self-attention.
        num_latents: learned tokens.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, sum of lengths, units)`.

    Example:

    >>> mk.fusion.Perceiver(units=32, num_latents=4).get_config()["num_latents"]
    4
    """

    def __init__(
        self,
        units=128,
        num_heads=4,
        num_layers=1,
        num_latents=8,
        dropout=0.0,
        modality_dropout=MODALITY_DROPOUT,
        seed=None,
        **kwargs,
    ):
        super().__init__(units, num_heads, dropout, modality_dropout, seed, **kwargs)
        self.num_layers = num_layers
        self.num_latents = num_latents

    def build_attention(self, lengths):
        self.latents = Latents(self.num_latents, self.units, dtype=self.dtype_policy, name="latents")
        self.latents.build((None, None, self.units))
        count = self.num_latents
        self.reader = self.make_block("reader", count, sum(lengths.values()))
        self.blocks = [self.make_block(f"block_{index}", count, count) for index in range(self.num_layers)]
        self.writers = {name: self.make_block(f"{name}_writer", length, count) for name, length in lengths.items()}
        return 1

    def attend(self, tokens, masks, present, training):
        joint = ops.concatenate([tokens[name] for name in self.names], axis=1)
        mask = ops.concatenate([masks[name] for name in self.names], axis=1)
        latents = self.reader(self.latents(joint), joint, mask, training=training)
        is_there = ops.ones_like(latents[..., 0], dtype="bool")
        for block in self.blocks:
            latents = block(latents, latents, is_there, training=training)
        attended = {name: self.writers[name](tokens[name], latents, is_there, training=training) for name in self.names}
        return attended, [ops.mean(latents, axis=1)]

    def get_config(self):
        return {**super().get_config(), "num_layers": self.num_layers, "num_latents": self.num_latents}
