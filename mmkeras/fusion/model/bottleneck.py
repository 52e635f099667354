import keras
from keras import ops

from mmkeras.fusion.base import MODALITY_DROPOUT
from mmkeras.fusion.model.base import Latents, TokenFusion, split_tokens


@keras.saving.register_keras_serializable(package="mmkeras")
class Bottleneck(TokenFusion):
    """Model-level fusion: the modalities exchange what they know through a few tokens only.

    In each of `num_layers` layers `[Z_i; B_i] = block_i([Z_i; B])` for each modality i, with `Z_i` its projected tokens
    and B the bottleneck; then B is the mean of the `B_i` of the modalities that are there. The mean of the last B is a
    summary of the row beside the averages. Reference: Nagrani et al., "Attention Bottlenecks for Multimodal Fusion"
    (2021).

    Args:
        units, num_heads, dropout, modality_dropout, seed: as for every `TokenFusion`.
        num_layers: layers.
        bottleneck_size: tokens of the bottleneck.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, sum of lengths, units)`.

    Example:

    >>> mk.fusion.Bottleneck(units=32, bottleneck_size=2).get_config()["bottleneck_size"]
    2
    """

    def __init__(
        self,
        units=128,
        num_heads=4,
        num_layers=2,
        bottleneck_size=4,
        dropout=0.0,
        modality_dropout=MODALITY_DROPOUT,
        seed=None,
        **kwargs,
    ):
        super().__init__(units, num_heads, dropout, modality_dropout, seed, **kwargs)
        self.num_layers = num_layers
        self.bottleneck_size = bottleneck_size

    def build_attention(self, lengths):
        self.bottleneck = Latents(self.bottleneck_size, self.units, dtype=self.dtype_policy, name="bottleneck")
        self.bottleneck.build((None, None, self.units))
        self.blocks = {}
        for name, length in lengths.items():
            together = length + self.bottleneck_size
            self.blocks[name] = [
                self.make_block(f"{name}_block_{index}", together, together) for index in range(self.num_layers)
            ]
        return 1

    def attend(self, tokens, masks, present, training):
        bottleneck = self.bottleneck(tokens[self.names[0]])
        is_there = ops.ones_like(bottleneck[..., 0], dtype="bool")
        weights = ops.cast(present, bottleneck.dtype)
        count = ops.maximum(ops.sum(weights, axis=1), 1)[:, None, None]
        tokens = dict(tokens)
        for layer in range(self.num_layers):
            changed = ops.zeros_like(bottleneck)
            for index, name in enumerate(self.names):
                together = ops.concatenate([tokens[name], bottleneck], axis=1)
                mask = ops.concatenate([masks[name], is_there], axis=1)
                together = self.blocks[name][layer](together, together, mask, training=training)
                lengths = [tokens[name].shape[1], self.bottleneck_size]
                tokens[name], own = split_tokens(together, lengths)
                changed = changed + own * weights[:, index, None, None]
            bottleneck = changed / count
        return tokens, [ops.mean(bottleneck, axis=1)]

    def get_config(self):
        return {**super().get_config(), "num_layers": self.num_layers, "bottleneck_size": self.bottleneck_size}
