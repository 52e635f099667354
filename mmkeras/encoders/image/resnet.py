import keras

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.image.grid import halve, locate_halved, read_grid
from mmkeras.layers import BatchNormalization


@keras.saving.register_keras_serializable(package="mmkeras")
class ImageResNet(Encoder):
    """A small residual network that keeps track of where things are.

    Behind a first convolution, each block is `x + norm(conv(relu(norm(conv(x)))))` with convolutions 3x3, a convolution
    1x1 on x where the number of filters changes, then ReLU, and the largest of each 2x2. Tokens and pooled vector are
    made as those of `ImageCNN`. Reference: He et al., "Deep Residual Learning for Image Recognition" (2016).

    Args:
        units: size of the pooled vector and of the tokens.
        filters: one number a block.
        dropout: share of the grid's values that is dropped in training, before the dense layer.

    Example:

    >>> mk.Image(size=32, encoder=mk.encoders.ImageResNet(units=8)).build_encoder("image").output["tokens"].shape
    (None, 16, 8)
    """

    def __init__(self, units: int = 64, filters: tuple[int, ...] = (16, 32, 64), dropout: float = 0.3):
        super().__init__(units)
        self.filters = tuple(filters)
        self.dropout = dropout

    def locate(self, preprocessor, cells=None):
        return locate_halved(preprocessor.size, len(self.filters))

    def encode(self, inputs, preprocessor):
        pixels = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(inputs)
        pixels = keras.layers.ReLU(name="stem_relu")(_convolve(pixels, self.filters[0], 3, "stem"))
        for block, filters in enumerate(self.filters, 1):
            name = f"block{block}"
            changed = keras.layers.ReLU(name=f"{name}_relu1")(_convolve(pixels, filters, 3, f"{name}_1"))
            changed = _convolve(changed, filters, 3, f"{name}_2")
            kept = pixels if pixels.shape[-1] == filters else _convolve(pixels, filters, 1, f"{name}_kept")
            pixels = keras.layers.ReLU(name=f"{name}_relu2")(keras.layers.Add(name=f"{name}_add")([kept, changed]))
            pixels = halve(pixels, name=f"{name}_pool")
        return read_grid(pixels, self.units, self.dropout)

    def get_config(self):
        return {**super().get_config(), "filters": list(self.filters), "dropout": self.dropout}


def _convolve(pixels, filters, size, name):
    convolution = keras.layers.Conv2D(
        filters, size, padding="same", use_bias=False, data_format="channels_last", name=f"{name}_conv"
    )
    return BatchNormalization(momentum=0.9, name=f"{name}_norm")(convolution(pixels))
