import keras
from keras import ops

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.image.grid import halve, read_grid
from mmkeras.encoders.masking import clear
from mmkeras.encoders.recurrent import heed, read_in_order
from mmkeras.encoders.video.frames import find_real
from mmkeras.layers import FrameMotion
from mmkeras.layers.pooling import average


@keras.saving.register_keras_serializable(package="mmkeras")
class VideoCNN3D(Encoder):
    """Convolutions over time and space, for what shows in how neighboring frames differ.

    Each block is a convolution 3x3x3, batch normalization, ReLU, and the largest of each 2x2 of a frame. There is one
    token a frame; those that a short video lacks are masked. The pooled vector is made of their mean, or, where they
    are read in order, of the states of a GRU that reads them both ways and of their mean by attention. Reference: Tran
    et al., "Learning Spatiotemporal Features with 3D Convolutional Networks" (2015).

    Args:
        units: size of the tokens and of the pooled vector.
        filters: one number a block.
        recurrent: whether a GRU reads the frames.
        motion: whether it is given, in place of colors, what moves (`mk.layers.FrameMotion`).
        dropout: share of the values of a frame that is dropped in training.

    Example:

    >>> video = mk.Video(frames=4, size=16, encoder=mk.encoders.VideoCNN3D(units=8))
    >>> video.build_encoder("clip").output["tokens"].shape
    (None, 4, 8)
    """

    def __init__(
        self,
        units: int = 64,
        filters: tuple[int, ...] = (16, 32, 64),
        recurrent: bool = False,
        motion: bool = False,
        dropout: float = 0.2,
    ):
        super().__init__(units)
        self.filters = tuple(filters)
        self.recurrent = recurrent
        self.motion = motion
        self.dropout = dropout

    def encode(self, inputs, preprocessor, length):
        mask = find_real(preprocessor, length)
        pixels = FrameMotion(name="motion")(inputs, mask) if self.motion else inputs
        pixels = clear(keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale")(pixels), mask)
        for block, filters in enumerate(self.filters, 1):
            pixels = keras.layers.Conv3D(
                filters, 3, padding="same", use_bias=False, data_format="channels_last", name=f"block{block}_conv"
            )(pixels)
            pixels = keras.layers.BatchNormalization(momentum=0.9, name=f"block{block}_norm")(pixels)
            pixels = clear(keras.layers.ReLU(name=f"block{block}_relu")(pixels), mask)
            # Frame by frame: TFLite has no pooling of three dimensions.
            frames, *size = pixels.shape[1:]
            halved = halve(ops.reshape(pixels, (-1, *size)), name=f"block{block}_pool")
            pixels = ops.reshape(halved, (-1, frames, *halved.shape[1:]))
        _, _, vectors = read_grid(ops.reshape(pixels, (-1, *pixels.shape[2:])), self.units, self.dropout)
        vectors = ops.reshape(vectors, (-1, pixels.shape[1], self.units))
        if not self.recurrent:
            return vectors, mask, keras.layers.Dense(self.units, name="mean_dense")(average(vectors, mask))
        tokens, state = read_in_order(vectors, mask, self.units, bidirectional=True, prefix="frames_")
        return tokens, mask, heed(tokens, mask, state, self.dropout, prefix="frames_")

    def get_config(self):
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "recurrent": self.recurrent,
            "motion": self.motion,
            "dropout": self.dropout,
        }
