"""Encoders of stacks of frames."""

import keras
from keras import ops

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.image.cnn import ImageCNN
from mmkeras.encoders.recurrent import read_in_order


@keras.saving.register_keras_serializable(package="mmkeras")
class VideoGRU(Encoder):
    """Each frame is encoded as a image, then they are read one after the other by a gated recurrent unit.

    There is one token a frame; those that a short video lacks are masked. Reference:
    Donahue et al., "Long-term Recurrent Convolutional Networks" (2014), with a GRU for their LSTM.

    Args:
        units: units of the GRU.
        frame_encoder: an encoder of images.

    Example:

    >>> video = mk.Video(frames=4, size=16, encoder=mk.encoders.VideoGRU(units=8))
    >>> video.build_encoder("clip").output["tokens"].shape
    (None, 4, 8)
    """

    def __init__(self, units: int = 64, frame_encoder: Encoder | None = None):
        super().__init__(units)
        self.frame_encoder = ImageCNN() if frame_encoder is None else frame_encoder

    def encode(self, inputs, preprocessor, length):
        frames, *pixels = preprocessor.shape
        mask = ops.less(ops.arange(frames, dtype="int32"), ops.expand_dims(length, -1))
        _, _, vectors = self.frame_encoder.encode(ops.reshape(inputs, (-1, *pixels)), preprocessor.image)
        vectors = ops.reshape(vectors, (-1, frames, vectors.shape[-1]))
        vectors = keras.layers.LayerNormalization(name="frames_norm")(vectors)
        tokens, state = read_in_order(vectors, mask, self.units)
        return tokens, mask, state

    def get_config(self):
        return {**super().get_config(), "frame_encoder": keras.saving.serialize_keras_object(self.frame_encoder)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "frame_encoder": keras.saving.deserialize_keras_object(config["frame_encoder"])})
