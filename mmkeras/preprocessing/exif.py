"""How an image is to be turned, read in the graph from its EXIF or XMP data as Pillow reads it."""

import numpy as np
import tensorflow as tf

_SEARCHED_BYTES = 1 << 18  # of a JPEG: what describes the image stands before it
_DIRECTORY_BYTES = 4096
_ENTRIES = 64
_ORIENTATION = 0x0112
_XMP = r'(?s)\C*?tiff:Orientation(?:="|>)([1-8])\C*'


# How plain JPEGs start: with the JFIF header and a table of the image, or with the table; None is any byte.
_PLAIN_STARTS = [
    [0xFF, 0xD8, 0xFF, 0xE0, 0x00, 0x10, *[None] * 14, 0xFF, 0xDB],
    [0xFF, 0xD8, 0xFF, 0xDB, *[None] * 18],
]


def is_plain_jpeg(data):
    """Whether a JPEG goes straight from its JFIF header to the image, as most do, and does not say how it is turned."""
    start = tf.io.decode_raw(data, tf.uint8, fixed_length=len(_PLAIN_STARTS[0]))
    is_any = np.equal(_PLAIN_STARTS, None)
    is_same = start == np.where(is_any, 0, _PLAIN_STARTS).astype("uint8")
    return tf.reduce_any(tf.reduce_all(is_same | is_any, axis=1))


def read_orientation(data, is_png):
    """How an image is to be turned, 1 to 8 as in the EXIF standard; 1, not at all, where it does not say.

    Args:
        data: scalar string tensor, the bytes of a PNG or JPEG.
        is_png: scalar bool tensor, whether it is a PNG: there the data may stand behind the image.

    Returns: scalar int32 tensor.
    """
    head = tf.strings.substr(data, 0, tf.where(is_png, tf.strings.length(data), _SEARCHED_BYTES))
    parts = tf.strings.split(head, tf.where(is_png, "eXIf", "Exif\0\0"), maxsplit=1)
    is_found = tf.size(parts) > 1
    orientation = _read_directory(tf.where(is_found, parts[-1], ""))
    said = tf.strings.regex_replace(head, _XMP, r"\1")
    by_xmp = tf.strings.to_number(tf.where(tf.strings.length(said) == 1, said, "1"), tf.int32)
    return tf.where(orientation > 0, orientation, by_xmp)


def _read_directory(data):
    """The orientation in the first directory of a TIFF block; 0 where there is none."""
    start = tf.strings.substr(data, 0, _DIRECTORY_BYTES)
    block = tf.cast(tf.io.decode_raw(start, tf.uint8, fixed_length=_DIRECTORY_BYTES), tf.int32)
    at = lambda offsets: tf.gather(block, tf.clip_by_value(offsets, 0, _DIRECTORY_BYTES - 1))  # noqa: E731
    step = tf.where(at(0) == ord("I"), 1, -1)  # Intel's order of bytes, or Motorola's
    two = lambda offsets: at(offsets + (1 - step) // 2) + 256 * at(offsets + (1 + step) // 2)  # noqa: E731
    directory = two(4 + (1 - step))  # the lower half of 4 bytes
    entries = directory + 2 + 12 * tf.range(_ENTRIES)
    is_orientation = (two(entries) == _ORIENTATION) & (tf.range(_ENTRIES) < two(directory))
    is_tiff = ((at(0) == ord("I")) & (at(1) == ord("I"))) | ((at(0) == ord("M")) & (at(1) == ord("M")))
    value = two(entries[tf.argmax(is_orientation)] + 8)
    value = tf.where((value >= 1) & (value <= 8), value, 1)
    return tf.where(is_tiff & tf.reduce_any(is_orientation), value, 0)
