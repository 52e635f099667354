import keras
from keras import ops

from mmkeras.encoders.attention import AttentionEncoder
from mmkeras.layers.pooling import average
from mmkeras.preprocessing.places import cut_grid


@keras.saving.register_keras_serializable(package="mmkeras")
class ImageViT(AttentionEncoder):
    """Square patches of an image that attend to each other, each with a learned vector for its place.

    A patch is a token; the pooled vector is made of their mean. It needs more images than `ImageCNN` to learn as much.
    Reference: Dosovitskiy et al., "An Image is Worth 16x16 Words" (2021), with the mean of the tokens for their class
    token.

    Args:
        units: size of the tokens and of the pooled vector.
        patch_size: side of a patch in pixels; what is missing at the border is black.
        num_layers: blocks.
        num_heads: attention heads; divides `units`.
        dropout: share of the tokens' values and of the attention weights that is dropped in training.

    Example:

    >>> mk.Image(size=32, encoder=mk.encoders.ImageViT(units=8)).build_encoder("image").output["tokens"].shape
    (None, 16, 8)
    """

    def __init__(
        self, units: int = 64, patch_size: int = 8, num_layers: int = 4, num_heads: int = 4, dropout: float = 0.1
    ):
        super().__init__(units, num_layers, num_heads, dropout)
        self.patch_size = patch_size

    def locate(self, preprocessor, cells=None):
        step = self.patch_size
        return cut_grid(preprocessor.size, [step, step], [-(-side // step) for side in preprocessor.size])

    def encode(self, inputs, preprocessor):
        pixels = keras.layers.Rescaling(1 / 255, name="rescale")(inputs)
        size = self.patch_size
        patches = keras.layers.Conv2D(
            self.units, size, strides=size, padding="same", data_format="channels_last", name="patches"
        )(pixels)
        tokens = keras.layers.Reshape((-1, self.units), name="tokens_flat")(patches)
        mask = ops.ones_like(tokens[:, :, 0], dtype="bool")
        tokens = self.attend(tokens, mask)
        return tokens, mask, keras.layers.Dense(self.units, name="pooled_dense")(average(tokens, mask))

    def get_config(self):
        return {**super().get_config(), "patch_size": self.patch_size}
