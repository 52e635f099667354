import keras
from keras import ops

from mmkeras.fusion.base import MODALITY_DROPOUT
from mmkeras.fusion.model.base import TokenFusion, split_tokens


@keras.saving.register_keras_serializable(package="mmkeras")
class JointTransformer(TokenFusion):
    """Model-level fusion: one transformer over the tokens of all modalities, end to end.

    `Z = [Z_1; ...; Z_n]`, with `Z_i` the projected tokens of modality i, whose bias tells its modality; then
    `num_layers` blocks of self-attention over Z. Reference: Kim et al., "ViLT: Vision-and-Language Transformer" (2021).

    Args:
        units, num_heads, dropout, modality_dropout, seed: as for every `TokenFusion`.
        num_layers: blocks.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, sum of lengths, units)`.

    Example:

    >>> mk.fusion.JointTransformer(units=32, num_heads=2, num_layers=1).get_config()["num_layers"]
    1
    """

    def __init__(
        self, units=128, num_heads=4, num_layers=2, dropout=0.0, modality_dropout=MODALITY_DROPOUT, seed=None, **kwargs
    ):
        super().__init__(units, num_heads, dropout, modality_dropout, seed, **kwargs)
        self.num_layers = num_layers

    def build_attention(self, lengths):
        total = sum(lengths.values())
        self.blocks = [self.make_block(f"block_{index}", total, total) for index in range(self.num_layers)]
        return 0

    def attend(self, tokens, masks, present, training):
        lengths = [tokens[name].shape[1] for name in self.names]
        joint = ops.concatenate([tokens[name] for name in self.names], axis=1)
        mask = ops.concatenate([masks[name] for name in self.names], axis=1)
        for block in self.blocks:
            joint = block(joint, joint, mask, training=training)
        return dict(zip(self.names, split_tokens(joint, lengths), strict=True)), []

    def get_config(self):
        return {**super().get_config(), "num_layers": self.num_layers}
