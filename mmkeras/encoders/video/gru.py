"""Encoders of stacks of frames."""

import keras

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.recurrent import heed, read_in_order
from mmkeras.encoders.video.frames import FrameEncoder


@keras.saving.register_keras_serializable(package="mmkeras")
class VideoGRU(FrameEncoder):
    """Each frame is encoded as an image, then they are read one after the other by a gated recurrent unit.

    There is one token a frame; those that a short video lacks are masked. The pooled vector is the last state, or,
    read both ways, made of both last states and of the mean of the tokens by attention. Reference: Donahue et al.,
    "Long-term Recurrent Convolutional Networks" (2014), with a GRU for their LSTM.

    Args:
        units: units of the GRU.
        frame_encoder: an encoder of images; None for `ImageCNN()`.
        motion: whether it is given, in place of colors, what moves (`mk.layers.FrameMotion`).
        bidirectional: whether a second GRU reads the frames backwards.
        dropout: share of the values of the frames, and of the pooled ones, that is dropped in training.

    Example:

    >>> video = mk.Video(frames=4, size=16, encoder=mk.encoders.VideoGRU(units=8))
    >>> video.build_encoder("clip").output["tokens"].shape
    (None, 4, 8)
    """

    def __init__(
        self,
        units: int = 64,
        frame_encoder: Encoder | None = None,
        motion: bool = False,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__(units, frame_encoder, motion)
        self.bidirectional = bidirectional
        self.dropout = dropout

    def encode(self, inputs, preprocessor, length):
        vectors, mask = self.read(inputs, preprocessor, length)
        tokens, state = read_in_order(
            vectors, mask, self.units, dropout=self.dropout, bidirectional=self.bidirectional, prefix="frames_"
        )
        if self.bidirectional:
            state = heed(tokens, mask, state, self.dropout, prefix="frames_")
        return tokens, mask, state

    def get_config(self):
        return {**super().get_config(), "bidirectional": self.bidirectional, "dropout": self.dropout}
