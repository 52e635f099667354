"""Encoded images to pixels."""

import functools
import math

import keras
import tensorflow as tf

from mmkeras.data.cells import FILE
from mmkeras.data.report import Finding
from mmkeras.preprocessing.base import Preprocessor

_HEADER_BYTES = 32
_JPEG = b"\xff\xd8\xff"
_UNKNOWN_FORMAT = -1


def _integer(header, start: int, count: int, little_endian: bool = False):
    """The unsigned integer in `count` bytes of `header` from `start`."""
    powers = [256**i for i in range(count)]
    weights = tf.constant(powers if little_endian else powers[::-1], tf.int64)
    return tf.reduce_sum(header[start : start + count] * weights)


def _take_head(data, count):
    """The first bytes of a file, uint8 `(count,)`, zeros after its end."""
    return tf.io.decode_raw(tf.strings.substr(data, 0, count), tf.uint8, fixed_length=count)


def _count_jpeg_pixels(data):
    height_width_channels = tf.io.extract_jpeg_shape(data, output_type=tf.int32)
    return tf.reduce_prod(tf.cast(height_width_channels[:2], tf.int64))


def count_pixels(data):
    """Width times height that an encoded image claims in its header, without decoding it; -1 for other formats.

    Args:
        data: scalar string tensor, the bytes of a PNG, JPEG, GIF or BMP.

    Returns: scalar int64 tensor.
    """
    header = tf.cast(_take_head(data, _HEADER_BYTES), tf.int64)
    starts_with = lambda magic: tf.strings.substr(data, 0, len(magic)) == magic  # noqa: E731
    return tf.case(
        [
            (starts_with(b"\x89PNG\r\n\x1a\n"), lambda: _integer(header, 16, 4) * _integer(header, 20, 4)),
            (starts_with(_JPEG), lambda: _count_jpeg_pixels(data)),
            (starts_with(b"GIF8"), lambda: _integer(header, 6, 2, True) * _integer(header, 8, 2, True)),
            (
                starts_with(b"BM"),
                # Both are signed: a negative height says that the first row is the top one.
                lambda: tf.abs(_signed(_integer(header, 18, 4, True)) * _signed(_integer(header, 22, 4, True))),
            ),
        ],
        default=lambda: tf.constant(_UNKNOWN_FORMAT, tf.int64),
    )


@functools.cache
def _compile_count_pixels():
    """`count_pixels` as one graph, an order of magnitude faster than op by op."""
    return tf.function(count_pixels, input_signature=[tf.TensorSpec((), tf.string)]).get_concrete_function()


def _signed(unsigned):
    return tf.where(unsigned >= 2**31, unsigned - 2**32, unsigned)


_EXIF_BYTES = 2048  # from the beginning of a file; the orientation is among the first entries
_EXIF_START = 512  # before which it begins
_EXIF_ENTRIES = 64
_ORIENTATION = 0x0112
_RATIOS = (1, 2, 4, 8)


def read_orientation(data):
    """How a JPEG says that it is to be turned, 1 to 8 as in the EXIF standard; 1, not at all, where it does not say.

    Args:
        data: scalar string tensor, the bytes of a JPEG.

    Returns: scalar int32 tensor.
    """
    head = tf.cast(_take_head(data, _EXIF_BYTES), tf.int32)
    at = lambda offsets: tf.gather(head, tf.clip_by_value(offsets, 0, _EXIF_BYTES - 1))  # noqa: E731
    starts = tf.range(2, _EXIF_START)
    is_start = tf.ones_like(starts, tf.bool)
    for offset, byte in enumerate(b"\xff\xe1??Exif\0\0"):
        if byte != ord("?"):  # the length of the segment
            is_start &= at(starts + offset) == byte
    tiff = starts[tf.argmax(is_start)] + 10
    step = tf.where(at(tiff) == ord("I"), 1, -1)  # Intel's order of bytes, or Motorola's
    two = lambda offsets: at(offsets + (1 - step) // 2) + 256 * at(offsets + (1 + step) // 2)  # noqa: E731
    directory = tiff + two(tiff + 4 + (1 - step))  # the lower half of 4 bytes
    entries = directory + 2 + 12 * tf.range(_EXIF_ENTRIES)
    is_orientation = (two(entries) == _ORIENTATION) & (tf.range(_EXIF_ENTRIES) < two(directory))
    value = two(entries[tf.argmax(is_orientation)] + 8)
    is_said = tf.reduce_any(is_start) & tf.reduce_any(is_orientation) & (value >= 1) & (value <= 8)
    return tf.where(is_said, value, 1)


def _may_have_exif(data):
    head = _take_head(data, _EXIF_START + 1)
    return tf.reduce_any((head[:-1] == ord("E")) & (head[1:] == ord("x")))


def _turn(pixels, orientation):
    """The image as it is to be seen."""
    transpose = lambda x: tf.transpose(x, (1, 0, 2))  # noqa: E731
    ways = [
        lambda: pixels,
        lambda: pixels[:, ::-1],
        lambda: pixels[::-1, ::-1],
        lambda: pixels[::-1],
        lambda: transpose(pixels),
        lambda: transpose(pixels[::-1]),
        lambda: transpose(pixels[::-1, ::-1]),
        lambda: transpose(pixels[:, ::-1]),
    ]
    return tf.switch_case(orientation - 1, ways)


def _require(condition, message):
    """As `tf.debugging.Assert`, without a branch around it."""
    return tf.raw_ops.Assert(condition=condition, data=[message])


def _apart(function, *arguments):
    """`function` as one node of the graph: TensorFlow walks through every node of a branch that it does not take.

    Not with an Assert in it: an iterator over such a node cannot be checkpointed.
    """
    return tf.function(function, experimental_attributes={"_noinline": True})(*arguments)


@keras.saving.register_keras_serializable(package="mmkeras")
class ImagePreprocessor(Preprocessor):
    """Bytes of a PNG, JPEG, GIF (first frame) or BMP to pixels `(height, width, 3)`, uint8 in [0, 255].

    Transparency is dropped, gray is repeated to three channels, and a JPEG is turned as its EXIF data say. A JPEG that
    is at least twice the size is decoded at 1/2, 1/4 or 1/8 of its own, which averages over its pixels.

    Args:
        size: `(height, width)` in pixels, or one number for both.
        fit: `"stretch"` the whole image to the size, `"crop"` what is too much on two sides, or `"pad"` with black.
        antialias: average over source pixels when shrinking, as Pillow does; at less than half the speed.
        max_pixels: larger images are refused before they are decoded, in training and in serving.

    Example:

    >>> pixels = np.full((2, 2, 3), 200, "uint8")
    >>> image = ImagePreprocessor(size=4)
    >>> float(image.prepare_cell(tf.io.encode_png(pixels)).numpy().mean())
    200.0
    """

    cells = FILE
    media_type = "image"
    dtype = "uint8"

    def __init__(self, size=64, fit: str = "stretch", antialias: bool = True, max_pixels: int = 2**25):
        size = (size, size) if isinstance(size, int) else tuple(size)
        if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
            raise ValueError(f"`size` of Image is (height, width) in pixels, or one number. Received: size={size}")
        if fit not in ("stretch", "crop", "pad"):
            raise ValueError(f"`fit` of Image is 'stretch', 'crop' or 'pad'. Received: fit={fit!r}")
        self.size = size
        self.fit = fit
        self.antialias = antialias
        self.max_pixels = max_pixels

    @property
    def shape(self):
        return (*self.size, 3)

    @property
    def media_options(self):
        return {"max_pixels": self.max_pixels}

    def prepare_cell(self, cell):
        is_jpeg = tf.strings.substr(cell, 0, len(_JPEG)) == _JPEG
        pixels = tf.cond(is_jpeg, lambda: self._decode_jpeg(cell), lambda: self._decode_other_or_nothing(cell))
        return tf.ensure_shape(self._resize(pixels), self.shape)

    def _decode_other_or_nothing(self, cell):
        nothing = tf.zeros((1, 1, 3), tf.uint8)
        return tf.cond(self.is_present(cell), lambda: self._decode_other(cell), lambda: nothing)

    def _decode_other(self, data):
        pixel_count = _apart(count_pixels, data)
        checks = [
            _require(pixel_count > 0, "The cell is not a PNG, JPEG, GIF or BMP image."),
            self._require_size(pixel_count),
        ]
        with tf.control_dependencies(checks):
            return tf.io.decode_image(data, channels=3, expand_animations=False)

    def _decode_jpeg(self, data):
        height_width = tf.io.extract_jpeg_shape(data)[:2]
        with tf.control_dependencies([self._require_size(tf.reduce_prod(tf.cast(height_width, tf.int64)))]):
            shrinks = tf.reduce_all(height_width >= 2 * min(self.size))
        return tf.cond(
            shrinks | _may_have_exif(data),
            lambda: _apart(self._decode_turned_at_ratio, data, height_width),
            lambda: tf.io.decode_jpeg(data, channels=3),
        )

    def _decode_turned_at_ratio(self, data, height_width):
        orientation = read_orientation(data)
        height_width = tf.where(orientation > 4, height_width[::-1], height_width)
        halvings = tf.math.log(tf.reduce_min(height_width / tf.constant(self.size))) / math.log(2) + 1e-6
        choice = tf.clip_by_value(tf.cast(tf.floor(halvings), tf.int32), 0, len(_RATIOS) - 1)
        decoders = [functools.partial(tf.io.decode_jpeg, data, channels=3, ratio=ratio) for ratio in _RATIOS]
        return _turn(tf.switch_case(choice, decoders), orientation)

    def _require_size(self, pixel_count):
        return _require(pixel_count <= self.max_pixels, f"The image has more than max_pixels={self.max_pixels} pixels.")

    def _resize(self, pixels):
        if self.fit == "pad":
            pixels = tf.image.resize_with_pad(pixels, *self.size, antialias=self.antialias)
        else:
            if self.fit == "crop":
                pixels = _crop(pixels, self.size)
            pixels = tf.image.resize(pixels, self.size, antialias=self.antialias)
        return tf.cast(pixels + 0.5, tf.uint8)  # rounded; both kinds of averages stay within [0, 255]

    def find_problems(self, cells):
        return [[finding] if (finding := self._find_problem(cell)) else [] for cell in cells]

    def _find_problem(self, data):
        try:
            pixel_count = int(_compile_count_pixels()(tf.constant(data)))
        except tf.errors.InvalidArgumentError:
            return Finding("damaged image", "its JPEG header cannot be read", "replace the file", True)
        if pixel_count == _UNKNOWN_FORMAT:
            return Finding(
                "not an image",
                f"it starts with {data[:8]!r}, which is no PNG, JPEG, GIF or BMP",
                "convert the file to PNG or JPEG",
                True,
            )
        if pixel_count > self.max_pixels:
            return Finding(
                "image too large",
                f"it has {pixel_count / 1e6:.1f} megapixels, more than the {self.max_pixels / 1e6:.1f} allowed",
                f"shrink the file, or allow it by mk.Image(max_pixels={pixel_count})",
                True,
            )
        try:
            tf.io.decode_image(data, channels=3, expand_animations=False)
        except tf.errors.InvalidArgumentError:
            return Finding("damaged image", f"its {len(data)} bytes cannot be decoded", "replace the file", True)
        return None

    def get_config(self) -> dict:
        return {
            "size": list(self.size),
            "fit": self.fit,
            "antialias": self.antialias,
            "max_pixels": self.max_pixels,
        }


def _crop(pixels, size):
    """The largest part around the middle that has the proportions of `size`."""
    height, width = tf.unstack(tf.cast(tf.shape(pixels)[:2], tf.float32))
    scale = tf.minimum(height / size[0], width / size[1])
    part = tf.maximum(1, tf.cast(tf.round(scale * tf.constant(size, tf.float32)), tf.int32))
    start = (tf.shape(pixels)[:2] - part) // 2
    return tf.slice(pixels, tf.concat([start, [0]], 0), tf.concat([part, [3]], 0))
