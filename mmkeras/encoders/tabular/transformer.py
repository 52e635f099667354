import keras
from keras import ops

from mmkeras.encoders.attention import AttentionEncoder
from mmkeras.layers import FeatureTokenizer
from mmkeras.layers.pooling import average


@keras.saving.register_keras_serializable(package="mmkeras")
class TabularTransformer(AttentionEncoder):
    """One token a feature, and tokens that attend to each other; the pooled vector is made of their mean.

    Reference: Gorishniy et al., "Revisiting Deep Learning Models for Tabular Data" (FT-Transformer, 2021), with the
    mean of the tokens for their class token.

    Args:
        units: size of the tokens and of the pooled vector.
        num_layers: blocks.
        num_heads: attention heads; divides `units`.
        dropout: share of the tokens' values and of the attention weights that is dropped in training.

    Example:

    >>> encoder = mk.encoders.TabularTransformer(units=8)
    >>> profile = mk.Tabular(numbers=["age"], statistics={"age": (40, 15)}, vocabularies={}, encoder=encoder)
    >>> profile.build_encoder("profile").output["tokens"].shape
    (None, 1, 8)
    """

    token_per_step = True

    def encode(self, inputs, preprocessor):
        tokens = FeatureTokenizer(preprocessor.cardinalities, self.units, preprocessor.edges, name="tokenizer")(inputs)
        mask = ops.ones_like(tokens[:, :, 0], dtype="bool")
        # A feature has a bias of its own, which tells it from the others.
        tokens = self.attend(tokens, mask, positions=None)
        return tokens, mask, keras.layers.Dense(self.units, name="pooled_dense")(average(tokens, mask))
