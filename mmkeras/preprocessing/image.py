"""Encoded images to pixels."""

import functools

import tensorflow as tf

from mmkeras.preprocessing.base import Preprocessor

_HEADER_BYTES = 32
_UNKNOWN_FORMAT = -1


def _integer(header, start: int, count: int, little_endian: bool = False):
    """The unsigned integer in `count` bytes of `header` from `start`."""
    powers = [256**i for i in range(count)]
    weights = tf.constant(powers if little_endian else powers[::-1], tf.int64)
    return tf.reduce_sum(header[start : start + count] * weights)


def _count_jpeg_pixels(data):
    height_width_channels = tf.io.extract_jpeg_shape(data, output_type=tf.int32)
    return tf.reduce_prod(tf.cast(height_width_channels[:2], tf.int64))


def count_pixels(data):
    """Width times height that an encoded image claims in its header, without decoding it; -1 for other formats.

    Args:
        data: scalar string tensor, the bytes of a PNG, JPEG, GIF or BMP.

    Returns: scalar int64 tensor.
    """
    padded = tf.strings.substr(tf.strings.join([data, b"\0" * _HEADER_BYTES]), 0, _HEADER_BYTES)
    header = tf.cast(tf.io.decode_raw(padded, tf.uint8), tf.int64)
    starts_with = lambda magic: tf.strings.substr(padded, 0, len(magic)) == magic  # noqa: E731
    return tf.case(
        [
            (starts_with(b"\x89PNG\r\n\x1a\n"), lambda: _integer(header, 16, 4) * _integer(header, 20, 4)),
            (starts_with(b"\xff\xd8\xff"), lambda: _count_jpeg_pixels(data)),
            (starts_with(b"GIF8"), lambda: _integer(header, 6, 2, True) * _integer(header, 8, 2, True)),
            (
                starts_with(b"BM"),
                # Both are signed: a negative height says that the first row is the top one.
                lambda: tf.abs(_signed(_integer(header, 18, 4, True)) * _signed(_integer(header, 22, 4, True))),
            ),
        ],
        default=lambda: tf.constant(_UNKNOWN_FORMAT, tf.int64),
        exclusive=True,
    )


@functools.cache
def _compile_count_pixels():
    """`count_pixels` as one graph, an order of magnitude faster than op by op."""
    return tf.function(count_pixels, input_signature=[tf.TensorSpec((), tf.string)]).get_concrete_function()


def _signed(unsigned):
    return tf.where(unsigned >= 2**31, unsigned - 2**32, unsigned)


class ImagePreprocessor(Preprocessor):
    """Bytes of a PNG, JPEG, GIF (first frame) or BMP to pixels `(height, width, 3)`, uint8 in [0, 255].

    Transparency is dropped, gray is repeated to three channels, and the picture is stretched to the size.

    Args:
        size: `(height, width)` in pixels, or one number for both.
        antialias: average over source pixels when shrinking, as Pillow does.
        max_pixels: larger pictures are refused before they are decoded, in training and in serving.

    Example:

    >>> pixels = np.full((2, 2, 3), 200, "uint8")
    >>> image = ImagePreprocessor(size=4)
    >>> float(image.prepare_cell(tf.io.encode_png(pixels)).numpy().mean())
    200.0
    """

    reads_files = True
    dtype = "uint8"

    def __init__(self, size=64, antialias: bool = True, max_pixels: int = 2**25):
        size = (size, size) if isinstance(size, int) else tuple(size)
        if len(size) != 2 or not all(isinstance(side, int) and side > 0 for side in size):
            raise ValueError(f"`size` of Image is (height, width) in pixels, or one number. Received: size={size}")
        self.size = size
        self.antialias = antialias
        self.max_pixels = max_pixels

    @property
    def shape(self):
        return (*self.size, 3)

    @property
    def cell_spec(self):
        return tf.TensorSpec(self.shape, tf.uint8)

    def prepare_cell(self, cell):
        pixels = tf.cond(self.is_present(cell), lambda: self._decode(cell), lambda: tf.zeros(self.shape, tf.uint8))
        return tf.ensure_shape(pixels, self.shape)

    def _decode(self, data):
        pixel_count = count_pixels(data)
        checks = [
            tf.debugging.assert_greater(
                pixel_count, tf.constant(0, tf.int64), "The cell is not a PNG, JPEG, GIF or BMP image."
            ),
            tf.debugging.assert_less_equal(
                pixel_count,
                tf.constant(self.max_pixels, tf.int64),
                f"The image has more than max_pixels={self.max_pixels} pixels.",
            ),
        ]
        with tf.control_dependencies([check for check in checks if check is not None]):  # None when run eagerly
            pixels = tf.io.decode_image(data, channels=3, expand_animations=False)
        pixels = tf.image.resize(pixels, self.size, antialias=self.antialias)
        return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)

    def find_problems(self, cells):
        return [self._find_problem(cell) for cell in cells]

    def _find_problem(self, data):
        try:
            pixel_count = int(_compile_count_pixels()(tf.constant(data)))
        except tf.errors.InvalidArgumentError:
            return ("damaged image", "its JPEG header cannot be read", "replace the file", True)
        if pixel_count == _UNKNOWN_FORMAT:
            return (
                "not an image",
                f"it starts with {data[:8]!r}, which is no PNG, JPEG, GIF or BMP",
                "convert the file to PNG or JPEG",
                True,
            )
        if pixel_count > self.max_pixels:
            return (
                "image too large",
                f"it has {pixel_count / 1e6:.1f} megapixels, more than the {self.max_pixels / 1e6:.1f} allowed",
                f"shrink the file, or allow it by mk.Image(max_pixels={pixel_count})",
                True,
            )
        try:
            tf.io.decode_image(data, channels=3, expand_animations=False)
        except tf.errors.InvalidArgumentError:
            return ("damaged image", f"its {len(data)} bytes cannot be decoded", "replace the file", True)
        return None

    def get_config(self) -> dict:
        return {"size": list(self.size), "antialias": self.antialias, "max_pixels": self.max_pixels}
