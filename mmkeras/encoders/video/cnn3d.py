import keras
from keras import ops

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.image.grid import read_grid
from mmkeras.encoders.masking import clear
from mmkeras.encoders.recurrent import heed, read_in_order
from mmkeras.encoders.video.frames import find_real
from mmkeras.layers import BatchNormalization, FrameMotion
from mmkeras.layers.pooling import average


@keras.saving.register_keras_serializable(package="mmkeras")
class VideoCNN3D(Encoder):
    """A convolution over time and space, then over each frame, for what shows in how neighboring frames differ.

    The first block is a convolution 3x5x5, over three frames, the others 3x3, over one, each with stride 2 in space,
    batch normalization and ReLU. There is one token a frame; those that a short video lacks are masked. The pooled
    vector is made of their mean, or, where they are read in order, of the states of a GRU that reads them both ways and
    of their mean by attention. Reference: Stafylakis and Tzimiropoulos, "Combining Residual Networks with LSTMs for
    Lipreading" (2017), with a smaller network for each frame.

    Args:
        units: size of the tokens and of the pooled vector.
        filters: one number a block.
        recurrent: whether a GRU reads the frames.
        motion: whether it is given, in place of colors, what moves (`mk.layers.FrameMotion`).
        dropout: share of the values of a frame, and of the pooled ones, that is dropped in training.

    Example:

    >>> video = mk.Video(frames=4, size=16, encoder=mk.encoders.VideoCNN3D(units=8))
    >>> video.build_encoder("clip").output["tokens"].shape
    (None, 4, 8)
    """

    token_per_step = True

    def __init__(
        self,
        units: int = 64,
        filters: tuple[int, ...] = (12, 24, 32),
        recurrent: bool = False,
        motion: bool = False,
        dropout: float = 0.3,
    ):
        super().__init__(units)
        self.filters = tuple(filters)
        self.recurrent = recurrent
        self.motion = motion
        self.dropout = dropout

    def encode(self, inputs, preprocessor, length):
        mask = find_real(preprocessor, length)
        rescale = keras.layers.Rescaling(1 / 127.5, offset=-1, name="rescale")
        # Padding is zero for the convolution over time.
        pixels = rescale(FrameMotion(name="motion")(inputs, mask)) if self.motion else clear(rescale(inputs), mask)
        for block, filters in enumerate(self.filters, 1):
            pixels = self._convolve(pixels, filters, block)
            if block == 1:
                pixels = ops.reshape(pixels, (-1, *pixels.shape[2:]))
        _, _, vectors = read_grid(pixels, self.units, self.dropout)
        vectors = ops.reshape(ops.relu(vectors), (-1, inputs.shape[1], self.units))
        if not self.recurrent:
            return vectors, mask, keras.layers.Dense(self.units, name="mean_dense")(average(vectors, mask))
        tokens, state = read_in_order(
            vectors, mask, self.units, dropout=self.dropout, bidirectional=True, prefix="frames_"
        )
        return tokens, mask, heed(tokens, mask, state, self.dropout, prefix="frames_")

    @staticmethod
    def _convolve(pixels, filters, block):
        layer, kernel, strides = (
            (keras.layers.Conv3D, (3, 5, 5), (1, 2, 2)) if block == 1 else (keras.layers.Conv2D, 3, 2)
        )
        convolution = layer(
            filters,
            kernel,
            strides,
            padding="same",
            use_bias=False,
            data_format="channels_last",
            name=f"block{block}_conv",
        )
        normalization = BatchNormalization(momentum=0.9, name=f"block{block}_norm")
        return keras.layers.ReLU(name=f"block{block}_relu")(normalization(convolution(pixels)))

    def get_config(self):
        return {
            **super().get_config(),
            "filters": list(self.filters),
            "recurrent": self.recurrent,
            "motion": self.motion,
            "dropout": self.dropout,
        }
