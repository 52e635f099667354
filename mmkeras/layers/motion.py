"""What moves in a video."""

import keras
from keras import ops

_GRAY = (0.299, 0.587, 0.114)
_MIDDLE = 127.5
_GAINS = 4.0, 16.0  # of the mouth of a speaker, each channel then varies about as much as the frame


@keras.saving.register_keras_serializable(package="mmkeras")
class FrameMotion(keras.layers.Layer):
    """Frames to three gray channels: the difference from the mean frame, that from the frame before, and the frame.

    What does not move, as a face or a room, is in the third channel alone. Differences are 127.5 where there are none,
    so that all channels lie around the same value, and count four and sixteen times, so that small movements weigh as
    much as the picture. The difference of the first frame is none. Own design; differences of frames after Wang et al.,
    "Temporal Segment Networks" (2016).

    Call arguments:
        frames: `(batch, frames, height, width, 3)`, red, green and blue in [0, 255]; or one channel of gray.
        frame_mask: bool `(batch, frames)`, False for padding, which comes last.

    Output shape: `(batch, frames, height, width, 3)`, float; 127.5 in the padding.

    Example:

    >>> frames = np.zeros((1, 2, 1, 1, 3))
    >>> frames[0, 1] = 100
    >>> FrameMotion()(frames, np.ones((1, 2), bool)).numpy()[0, :, 0, 0].round(1).tolist()
    [[-72.5, 127.5, 0.0], [327.5, 1727.5, 100.0]]
    """

    def __init__(self, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.supports_masking = True

    def call(self, frames, frame_mask):
        shares = _GRAY if frames.shape[-1] == 3 else (1.0,)
        gray = sum(share * ops.cast(frames[..., channel], "float32") for channel, share in enumerate(shares))
        weights = ops.reshape(ops.cast(frame_mask, "float32"), (-1, frame_mask.shape[1], 1, 1))
        count = ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1.0)
        mean = ops.sum(gray * weights, axis=1, keepdims=True) / count
        before = ops.concatenate([gray[:, :1], gray[:, :-1]], axis=1)
        differences = [gain * (gray - other) for gain, other in zip(_GAINS, (mean, before), strict=True)]
        channels = [weights * channel + _MIDDLE for channel in (*differences, gray - _MIDDLE)]
        return ops.cast(ops.stack(channels, axis=-1), self.compute_dtype)

    def compute_mask(self, *args, **kwargs):
        return None  # masks are arguments here

    def compute_output_spec(self, frames, frame_mask):
        return keras.KerasTensor((*frames.shape[:-1], 3), dtype=self.compute_dtype)
