"""From the frames of a video to one vector each."""

import keras
from keras import ops

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.image.cnn import ImageCNN
from mmkeras.encoders.needs import Needs
from mmkeras.layers import FrameMotion

_NEEDS = ("size", "grayscale")  # of what an encoder of images may need, that a video has


def find_real(preprocessor, length):
    """Which frames are real, bool `(batch, frames)`."""
    return ops.less(ops.arange(preprocessor.shape[0], dtype="int32"), ops.expand_dims(length, -1))


def read_frames(inputs, preprocessor, length, frame_encoder: Encoder, motion: bool = False):
    """Vectors `(batch, frames, units)` of the frames, each normalized, and the mask of those that are real."""
    mask = find_real(preprocessor, length)
    if motion:
        inputs = FrameMotion(name="motion")(inputs, mask)
    _, _, vectors = frame_encoder.encode(ops.reshape(inputs, (-1, *inputs.shape[2:])), preprocessor.image)
    vectors = ops.reshape(vectors, (-1, inputs.shape[1], vectors.shape[-1]))
    return keras.layers.LayerNormalization(name="frames_norm")(vectors), mask


class FrameEncoder(Encoder):
    """Base of the encoders of videos that encode each frame as an image first.

    Args:
        units: size of the tokens, one a frame, and of the pooled vector.
        frame_encoder: an encoder of images; None for `ImageCNN()`.
        motion: whether it is given, in place of colors, what moves (`mk.layers.FrameMotion`).
    """

    token_per_step = True

    def __init__(self, units: int = 64, frame_encoder: Encoder | None = None, motion: bool = False):
        super().__init__(units)
        self.frame_encoder = ImageCNN() if frame_encoder is None else frame_encoder
        self.motion = motion

    def preprocessing(self):
        needs = self.frame_encoder.preprocessing()
        hard, soft = ({key: part[key] for key in _NEEDS if key in part} for part in (needs.hard, needs.soft))
        return Needs(hard, soft)

    def read(self, inputs, preprocessor, length):
        """`read_frames` with what the encoder was given."""
        return read_frames(inputs, preprocessor, length, self.frame_encoder, self.motion)

    def get_config(self):
        return {
            **super().get_config(),
            "frame_encoder": keras.saving.serialize_keras_object(self.frame_encoder),
            "motion": self.motion,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "frame_encoder": keras.saving.deserialize_keras_object(config["frame_encoder"])})
