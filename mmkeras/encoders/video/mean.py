import keras

from mmkeras.encoders.video.frames import FrameEncoder
from mmkeras.layers.pooling import average


@keras.saving.register_keras_serializable(package="mmkeras")
class VideoMean(FrameEncoder):
    """Each frame is encoded as an image; the pooled vector is made of their mean, whatever their order.

    There is one token a frame; those that a short video lacks are masked. The baseline of Karpathy et al., "Large-scale
    Video Classification with Convolutional Neural Networks" (2014).

    Args:
        units: size of the tokens and of the pooled vector.
        frame_encoder: an encoder of images; None for `ImageCNN()`.
        motion: whether it is given, in place of colors, what moves (`mk.layers.FrameMotion`).

    Example:

    >>> video = mk.Video(frames=4, size=16, encoder=mk.encoders.VideoMean(units=8))
    >>> video.build_encoder("clip").output["tokens"].shape
    (None, 4, 8)
    """

    def encode(self, inputs, preprocessor, length):
        vectors, mask = self.read(inputs, preprocessor, length)
        tokens = keras.layers.Dense(self.units, activation="relu", name="frames_dense")(vectors)
        return tokens, mask, keras.layers.Dense(self.units, name="mean_dense")(average(tokens, mask))
