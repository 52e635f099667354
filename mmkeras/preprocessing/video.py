"""Encoded frames to a stack of images."""

import keras
import tensorflow as tf

from mmkeras.data.cells import FILE
from mmkeras.data.report import Finding
from mmkeras.preprocessing.base import Preprocessor
from mmkeras.preprocessing.image import ImagePreprocessor
from mmkeras.preprocessing.places import cut_evenly

_IN_A_VIDEO = " in a video"


@keras.saving.register_keras_serializable(package="mmkeras")
class VideoPreprocessor(Preprocessor):
    """Frames, each the bytes of a JPEG or PNG, to pixels `(frames, height, width, channels)`, uint8 in [0, 255].

    With them comes their length: how many are real. Without a rate, `frames` of the given ones are taken, evenly
    spaced; with fewer, some are repeated. With a rate the first `frames` are taken, and black ones follow where there
    are fewer. Files of video become such frames outside of the graph (`mmkeras.data.media`).

    Args:
        frames: how many the model sees.
        size: `(height, width)` in pixels, or one number for both.
        rate: frames a second, taken from the beginning of a file; None to spread them over the whole of it.
        antialias: average over source pixels when shrinking.
        max_pixels: larger frames are refused before they are decoded.
        grayscale: one channel in place of three.

    Example:

    >>> video = VideoPreprocessor(frames=4, size=8)
    >>> frame = tf.io.encode_jpeg(tf.zeros((16, 16, 3), tf.uint8))
    >>> pixels, length = video.prepare_cell(tf.stack([frame, frame]))
    >>> pixels.shape.as_list(), int(length)
    ([4, 8, 8, 3], 4)
    """

    cells = FILE
    media_type = "video"
    has_length = True
    raw_shape = (None,)
    dtype = "uint8"

    def __init__(
        self,
        frames: int = 8,
        size=64,
        rate: float | None = None,
        antialias: bool = True,
        max_pixels: int = 2**25,
        grayscale: bool = False,
    ):
        if frames < 1 or (rate is not None and rate <= 0):
            raise ValueError(
                f"`frames` of Video is at least 1, and `rate` is greater than 0, or None. "
                f"Received: frames={frames}, rate={rate}"
            )
        self.frames = frames
        self.rate = rate
        self.image = ImagePreprocessor(size, antialias=antialias, max_pixels=max_pixels, grayscale=grayscale)

    @property
    def media_options(self):
        return {
            "frames": self.frames,
            "rate": self.rate,
            "shorter_side": 2 * max(self.image.size),
            "max_pixels": self.image.max_pixels,
        }

    @property
    def shape(self):
        return (self.frames, *self.image.shape)

    def locate(self, cells=None):
        return cut_evenly("frames", self.frames, 1, self.frames)

    def prepare_cell(self, cell):
        given = tf.boolean_mask(cell, tf.strings.length(cell) > 0)
        spec = tf.TensorSpec(self.image.shape, tf.uint8)
        pixels = tf.map_fn(self.image.prepare_cell, self._choose(given), fn_output_signature=spec)
        length = tf.shape(pixels)[0]
        pixels = tf.pad(pixels, [[0, self.frames - length], [0, 0], [0, 0], [0, 0]])
        return tf.ensure_shape(pixels, self.shape), length

    def _choose(self, given):
        """Up to `frames` of the given encoded frames."""
        count = tf.size(given)
        if self.rate is not None:
            return given[: self.frames]
        middles = (tf.range(self.frames, dtype=tf.float32) + 0.5) / self.frames
        return tf.gather(
            given, tf.cast(middles[: self.frames * tf.minimum(count, 1)] * tf.cast(count, tf.float32), tf.int32)
        )

    def explain_file(self, cell):
        """The kind of what is wrong with the first frame that is damaged."""
        kinds = tf.map_fn(self.image.explain_file, tf.boolean_mask(cell, tf.strings.length(cell) > 0))
        kind = tf.concat([tf.boolean_mask(kinds, kinds != ""), [""]], axis=0)[0]
        return tf.where(kind == "", "", kind + _IN_A_VIDEO)

    def find_problems(self, cells):
        return [self._find_problems(frames) for frames in cells]

    def _find_problems(self, frames):
        if not len(frames):
            return [Finding("no frames", "the video has no images in it", "replace the file", True)]
        for found in self.image.find_problems(list(frames)):
            if found:
                return [found[0]._replace(kind=f"{found[0].kind}{_IN_A_VIDEO}")]
        return []

    def get_config(self) -> dict:
        image = self.image.get_config()
        del image["fit"]
        return {"frames": self.frames, "rate": self.rate, **image}
