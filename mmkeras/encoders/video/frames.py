"""From the frames of a video to one vector each."""

import keras
from keras import ops

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.image.cnn import ImageCNN


def read_frames(inputs, preprocessor, length, frame_encoder: Encoder):
    """Vectors `(batch, frames, units)` of the frames, each normalized, and the mask of those that are real."""
    frames, *pixels = preprocessor.shape
    mask = ops.less(ops.arange(frames, dtype="int32"), ops.expand_dims(length, -1))
    _, _, vectors = frame_encoder.encode(ops.reshape(inputs, (-1, *pixels)), preprocessor.image)
    vectors = ops.reshape(vectors, (-1, frames, vectors.shape[-1]))
    return keras.layers.LayerNormalization(name="frames_norm")(vectors), mask


class FrameEncoder(Encoder):
    """Base of the encoders of videos that encode each frame as an image first.

    Args:
        units: size of the tokens, one a frame, and of the pooled vector.
        frame_encoder: an encoder of images; None for `ImageCNN()`.
    """

    def __init__(self, units: int = 64, frame_encoder: Encoder | None = None):
        super().__init__(units)
        self.frame_encoder = ImageCNN() if frame_encoder is None else frame_encoder

    def get_config(self):
        return {**super().get_config(), "frame_encoder": keras.saving.serialize_keras_object(self.frame_encoder)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "frame_encoder": keras.saving.deserialize_keras_object(config["frame_encoder"])})
