"""Encoded images to pixels."""

import functools
import math

import keras
import numpy as np
import tensorflow as tf

from mmkeras.data.cells import FILE
from mmkeras.data.native import JPEG_START, PNG_EXIF_TEXT, PNG_START, PNG_TEXT_BYTES
from mmkeras.data.report import Finding
from mmkeras.preprocessing.base import Preprocessor, attempt, require
from mmkeras.preprocessing.exif import is_plain_jpeg, read_orientation

_RATIOS = (1, 2, 4, 8)
_SCANS = 16  # how often a JPEG may go over `max_pixels`; progressive ones do so about ten times
_MOST_SCANS = 1000  # of images of any size
_NO_IMAGE, _DAMAGED = "not an image", "damaged image"
_TOO_LARGE, _TOO_MANY_SCANS, _NOT_PLAIN = "image too large", "too many scans", "not a plain image"


def _starts_with(data, start):
    return tf.strings.substr(data, 0, len(start)) == start


def _count_scans(data):
    """How many scans a JPEG has at most; between the parts of their codes the byte 0xFF has a 0 behind it."""
    return tf.raw_ops.StringSplitV2(input=[data], sep=b"\xff\xda", maxsplit=_MOST_SCANS).shape[1] - 1


def _read_png_header(data):
    """Height and width, int64, and whether a PNG is decoded here: it has not 16 bits, of which TensorFlow cuts off the
    lower 8, and is not turned by what is packed.
    """
    head = tf.strings.substr(data, 0, PNG_TEXT_BYTES)
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(head, 0, 26), tf.uint8, fixed_length=26), tf.int64)
    width_height = tf.linalg.matvec(tf.reshape(header[16:24], (2, 4)), tf.constant([2**24, 2**16, 2**8, 1], tf.int64))
    is_plain = (header[24] <= 8) & (tf.size(tf.strings.split(head, PNG_EXIF_TEXT, maxsplit=1)) < 2)
    return width_height[::-1], is_plain


def _read_jpeg_header(data):
    """Height and width, int64, and whether a JPEG is decoded here: it is not in CMYK. Fails where it has no header."""
    shape = tf.cast(tf.io.extract_jpeg_shape(data), tf.int64)
    return shape[:2], shape[2] != 4


def _read_header(data):
    is_jpeg = _starts_with(data, JPEG_START)
    return tf.cond(is_jpeg, lambda: _read_jpeg_header(data), lambda: _read_png_header(data))


def _decode_jpeg(data, ratio):
    return tf.io.decode_jpeg(data, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")  # as Pillow does


# For an orientation of the EXIF standard, from 1: whether rows are reversed, whether columns are, both before they are
# exchanged; and whether they are.
_TURNS = [(0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]


def _turn(pixels, orientation):
    """The image as it is to be seen."""
    rows, columns, exchange = tf.unstack(tf.gather(tf.cast(_TURNS, tf.bool), orientation - 1))
    turned = tf.raw_ops.Reverse(tensor=pixels, dims=tf.stack([rows, columns, False]))
    return tf.transpose(turned, tf.where(exchange, (1, 0, 2), (0, 1, 2)))


def _apart(function, *arguments):
    """`function` as one node of the graph: TensorFlow walks through every node of a branch that it does not take.

    Not with an Assert in it: an iterator over such a node cannot be checkpointed.
    """
    return tf.function(function, experimental_attributes={"_noinline": True})(*arguments)


@keras.saving.register_keras_serializable(package="mmkeras")
class ImagePreprocessor(Preprocessor):
    """Bytes of a PNG or JPEG to pixels `(height, width, channels)`, uint8 in [0, 255], as Pillow reads them.

    Transparency is dropped, gray is repeated to three channels unless `grayscale` asks for one, and an image is turned
    as its EXIF or XMP data say. A JPEG that is at least twice the size is decoded at 1/2, 1/4 or 1/8 of its own, which
    averages over its pixels. All other formats, PNG of 16 bits and JPEG in CMYK become PNG outside of the graph
    (`mmkeras.data.media`).

    Args:
        size: `(height, width)` in pixels, or one number for both.
        fit: `"stretch"` the whole image to the size, `"crop"` what is too much on two sides, or `"pad"` with black.
        antialias: average over source pixels when shrinking, as Pillow does; at less than half the speed.
        max_pixels: larger images are refused before they are decoded, in training and in serving.
        grayscale: one channel, the luminance of ITU-R 601, in place of three.

    Example:

    >>> pixels = np.full((2, 2, 3), 200, "uint8")
    >>> image = ImagePreprocessor(size=4)
    >>> float(image.prepare_cell(tf.io.encode_png(pixels)).numpy().mean())
    200.0
    """

    cells = FILE
    media_type = "image"
    dtype = "uint8"

    def __init__(
        self,
        size=64,
        fit: str = "stretch",
        antialias: bool = True,
        max_pixels: int = 2**25,
        grayscale: bool = False,
    ):
        size = (size, size) if isinstance(size, int) else tuple(size)
        if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
            raise ValueError(f"`size` of Image is (height, width) in pixels, or one number. Received: size={size}")
        if fit not in ("stretch", "crop", "pad"):
            raise ValueError(f"`fit` of Image is 'stretch', 'crop' or 'pad'. Received: fit={fit!r}")
        self.size = size
        self.fit = fit
        self.antialias = antialias
        self.max_pixels = max_pixels
        self.grayscale = grayscale

    @property
    def shape(self):
        return (*self.size, 1 if self.grayscale else 3)

    @property
    def media_options(self):
        return {"max_pixels": self.max_pixels}

    def prepare_cell(self, cell):
        return tf.ensure_shape(self._resize(self._decode(cell)), self.shape)

    def _decode(self, cell):
        return tf.cond(is_plain_jpeg(cell), lambda: self._decode_plain_jpeg(cell), lambda: self._decode_other(cell))

    def _decode_plain_jpeg(self, data):
        height_width, is_plain = _read_jpeg_header(data)
        kind = self._explain_header(data, height_width, is_plain)
        with tf.control_dependencies([require(kind == "", kind)]):
            return self._decode_at_ratio(data, height_width)

    def _decode_other(self, cell):
        pixels, kind = _apart(self._decode_or_explain, cell)
        with tf.control_dependencies([require(kind == "", kind)]):
            return tf.identity(pixels)

    def _decode_or_explain(self, cell):
        height_width, is_plain = _read_header(cell)
        kind = self._explain_header(cell, height_width, is_plain)
        is_png = _starts_with(cell, PNG_START)
        orientation = read_orientation(cell, is_png)
        ways = [
            lambda: tf.zeros((1, 1, 3), tf.uint8),
            lambda: tf.io.decode_png(cell, channels=3),
            lambda: self._decode_at_ratio(cell, tf.where(orientation > 4, height_width[::-1], height_width)),
        ]
        way = tf.where(self.is_present(cell) & (kind == ""), tf.where(is_png, 1, 2), 0)
        return _turn(tf.switch_case(way, ways), orientation), kind

    def _decode_at_ratio(self, data, height_width):
        halvings = tf.math.log(tf.reduce_min(height_width / tf.constant(self.size, tf.int64))) / math.log(2) + 1e-6
        choice = tf.clip_by_value(tf.cast(tf.floor(halvings), tf.int32), 0, len(_RATIOS) - 1)
        return tf.switch_case(choice, [functools.partial(_decode_jpeg, data, ratio) for ratio in _RATIOS])

    def _is_small(self, height_width):
        """Whether an image of this size, which its header says, may be decoded."""
        # Each by itself too: their product may be too large for the integer.
        return (tf.reduce_prod(height_width) <= self.max_pixels) & tf.reduce_all(height_width <= self.max_pixels)

    def _explain_header(self, cell, height_width, is_plain):
        """The kind of what is wrong with an image before it is decoded; `""` for nothing, and for an absent one."""
        is_jpeg = _starts_with(cell, JPEG_START)
        scans = _count_scans(cell)
        has_few_scans = (scans < _MOST_SCANS) & (scans * tf.reduce_prod(height_width) <= _SCANS * self.max_pixels)
        kind = tf.where(has_few_scans | ~is_jpeg, "", _TOO_MANY_SCANS)
        kind = tf.where(self._is_small(height_width), kind, _TOO_LARGE)
        kind = tf.where(is_plain, kind, _NOT_PLAIN)
        kind = tf.where(is_jpeg | _starts_with(cell, PNG_START), kind, _NO_IMAGE)
        return tf.where(self.is_present(cell), kind, "")

    def _resize(self, pixels):
        if self.fit == "pad":
            pixels = tf.image.resize_with_pad(pixels, *self.size, antialias=self.antialias)
        else:
            if self.fit == "crop":
                pixels = _crop(pixels, self.size)
            pixels = tf.image.resize(pixels, self.size, antialias=self.antialias)
        if self.grayscale:
            pixels = tf.image.rgb_to_grayscale(pixels)
        return tf.cast(pixels + 0.5, tf.uint8)  # rounded; both kinds of averages stay within [0, 255]

    def explain_file(self, cell):
        kind = attempt(lambda data: self._explain_header(data, *_read_header(data)), cell, _DAMAGED)
        # A sum, because what depends on the shape alone is left out of the graph.
        total = attempt(lambda data: tf.reduce_sum(tf.cast(self._decode(data), tf.int64)), cell, np.int64(-1))
        return tf.where((kind == "") & (total < 0), _DAMAGED, kind)

    def find_problems(self, cells):
        return [[finding] if (finding := self._find_problem(cell)) else [] for cell in cells]

    def _find_problem(self, data):
        try:
            self.compile_cell(self._decode)(data)
            return None
        except (tf.errors.InvalidArgumentError, UnicodeDecodeError):  # of a message that holds bytes of the file
            kind = self.compile_cell(self.explain_file)(data).numpy().decode()
        if kind == _TOO_LARGE:
            pixels = math.prod(self.compile_cell(_read_header)(data)[0].numpy().tolist())
            detail = f"it has {pixels / 1e6:.1f} megapixels, more than the {self.max_pixels / 1e6:.1f} allowed"
            return Finding(kind, detail, f"shrink the file, or allow it by mk.Image(max_pixels={pixels})", True)
        if kind == _TOO_MANY_SCANS:
            return Finding(kind, "its pixels are sent in parts over and over", "save the image again", True)
        if kind in (_NO_IMAGE, _NOT_PLAIN):
            detail = f"it starts with {data[:8]!r}, and is no PNG or JPEG of 8 bits in RGB or gray"
            return Finding(kind, detail, "convert the file to PNG or JPEG", True)
        return Finding(kind, f"its {len(data)} bytes cannot be decoded", "replace the file", True)

    def get_config(self) -> dict:
        return {
            "size": list(self.size),
            "fit": self.fit,
            "antialias": self.antialias,
            "max_pixels": self.max_pixels,
            "grayscale": self.grayscale,
        }


def _crop(pixels, size):
    """The largest part around the middle that has the proportions of `size`."""
    height, width = tf.unstack(tf.cast(tf.shape(pixels)[:2], tf.float32))
    scale = tf.minimum(height / size[0], width / size[1])
    part = tf.maximum(1, tf.cast(tf.round(scale * tf.constant(size, tf.float32)), tf.int32))
    start = (tf.shape(pixels)[:2] - part) // 2
    return tf.slice(pixels, tf.concat([start, [0]], 0), tf.concat([part, [3]], 0))
