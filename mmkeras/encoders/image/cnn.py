"""Encoders of pixels."""

import keras

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.image.grid import halve, locate_grid, locate_halved, read_grid
from mmkeras.layers import BatchNormalization


@keras.saving.register_keras_serializable(package="mmkeras")
class ImageCNN(Encoder):
    """A small convolutional network that keeps track of where things are.

    Each block halves the image: convolution 3x3, batch normalization (Ioffe and Szegedy, 2015), ReLU, the largest of
    each 2x2. What is left is averaged over a grid of at least 4x4 cells, where there are so many; its cells, with a
    learned vector for their position, are the tokens, and a dense layer over all of them gives the pooled vector.
    Own design.

    Args:
        units: size of the pooled vector and of the tokens.
        filters: one number a block.
        dropout: share of the grid's values that is dropped in training, before the dense layer.
        is_strided: whether a block halves the image by a convolution with stride 2, as in older files. That takes a
            quarter of the time, and tells small shapes apart less well.

    Example:

    >>> mk.Image(size=32, encoder=mk.encoders.ImageCNN(units=8)).build_encoder("image").output["tokens"].shape
    (None, 16, 8)
    """

    def __init__(
        self,
        units: int = 64,
        filters: tuple[int, ...] = (16, 32, 64),
        dropout: float = 0.3,
        is_strided: bool = False,
    ):
        super().__init__(units)
        self.filters = tuple(filters)
        self.dropout = dropout
        self.is_strided = is_strided

    def locate(self, preprocessor, cells=None):
        if not self.is_strided:
            return locate_halved(preprocessor.size, len(self.filters))
        step = 2 ** len(self.filters)
        return locate_grid(preprocessor.size, [-(-side // step) for side in preprocessor.size], step)

    def encode(self, inputs, preprocessor):
        pixels = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(inputs)
        for block, filters in enumerate(self.filters, 1):
            pixels = keras.layers.Conv2D(
                filters,
                3,
                strides=2 if self.is_strided else 1,
                padding="same",
                use_bias=False,
                data_format="channels_last",
                name=f"block{block}_conv",
            )(pixels)
            pixels = BatchNormalization(momentum=0.9, name=f"block{block}_norm")(pixels)
            pixels = keras.layers.ReLU(name=f"block{block}_relu")(pixels)
            if not self.is_strided:
                pixels = halve(pixels, name=f"block{block}_pool")
        return read_grid(pixels, self.units, self.dropout)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "dropout": self.dropout,
            "is_strided": self.is_strided,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{"is_strided": True, **config})  # which older files do not say
