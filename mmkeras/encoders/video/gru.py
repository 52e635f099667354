"""Encoders of stacks of frames."""

import keras

from mmkeras.encoders.recurrent import read_in_order
from mmkeras.encoders.video.frames import FrameEncoder, read_frames


@keras.saving.register_keras_serializable(package="mmkeras")
class VideoGRU(FrameEncoder):
    """Each frame is encoded as an image, then they are read one after the other by a gated recurrent unit.

    There is one token a frame; those that a short video lacks are masked. Reference:
    Donahue et al., "Long-term Recurrent Convolutional Networks" (2014), with a GRU for their LSTM.

    Args:
        units: units of the GRU.
        frame_encoder: an encoder of images; None for `ImageCNN()`.

    Example:

    >>> video = mk.Video(frames=4, size=16, encoder=mk.encoders.VideoGRU(units=8))
    >>> video.build_encoder("clip").output["tokens"].shape
    (None, 4, 8)
    """

    def encode(self, inputs, preprocessor, length):
        vectors, mask = read_frames(inputs, preprocessor, length, self.frame_encoder)
        tokens, state = read_in_order(vectors, mask, self.units)
        return tokens, mask, state
