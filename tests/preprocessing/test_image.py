import io
import struct

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkeras.preprocessing import ImagePreprocessor, RowPreprocessor
from mmkeras.preprocessing.image import count_pixels
from mmkeras.testing import check_preprocessor

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), "uint8")


def encode(pixels, format, **options):
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def make_png_header(width, height):
    """What a decompression bomb begins with: a header that claims a size."""
    return encode(PIXELS, "PNG")[:16] + struct.pack(">II", width, height) + encode(PIXELS, "PNG")[24:]


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "BMP"])
def test_pixels_are_counted_in_the_header(format):
    assert int(count_pixels(tf.constant(encode(PIXELS, format)))) == 600


@pytest.mark.parametrize("data", [b"hello", b"\x89PNG", b"RIFF1234WEBP", b"\0" * 100, b"PK\x03\x04"])
def test_other_formats_are_recognised_as_such(data):
    assert int(count_pixels(tf.constant(data))) == -1


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(["PNG", "JPEG", "GIF", "BMP"]), st.data())
def test_damaged_files_give_a_problem_or_pixels_and_no_crash(format, data):
    good = bytearray(encode(PIXELS, format))
    for _ in range(data.draw(st.integers(1, 8))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cell = bytes(good[: data.draw(st.integers(1, len(good)))])
    image = ImagePreprocessor(8)
    (problem,) = image.find_problems([cell])
    if problem is None:
        assert image.prepare_cell(tf.constant(cell)).shape == (8, 8, 3)
    else:
        with pytest.raises(tf.errors.InvalidArgumentError):
            image.prepare_cell(tf.constant(cell))


def test_a_picture_of_the_right_size_is_unchanged():
    received = ImagePreprocessor((20, 30)).prepare_cell(tf.constant(encode(PIXELS, "PNG")))
    assert np.array_equal(received, PIXELS)


def test_shrinking_averages_as_pillow_does():
    expected = np.asarray(PIL.Image.fromarray(PIXELS).resize((15, 10), PIL.Image.BILINEAR), int)
    received = ImagePreprocessor((10, 15)).prepare_cell(tf.constant(encode(PIXELS, "PNG"))).numpy().astype(int)
    assert np.abs(received - expected).max() <= 1
    without = ImagePreprocessor((10, 15), antialias=False).prepare_cell(tf.constant(encode(PIXELS, "PNG")))
    assert np.abs(without.numpy().astype(int) - expected).max() > 10


def test_gray_becomes_three_channels_and_transparency_is_dropped():
    gray = ImagePreprocessor((20, 30)).prepare_cell(tf.constant(encode(PIXELS[..., 0], "PNG")))
    assert np.array_equal(gray, np.repeat(PIXELS[..., :1], 3, axis=2))
    with_alpha = np.dstack([PIXELS, np.zeros((20, 30), "uint8")])
    assert np.array_equal(ImagePreprocessor((20, 30)).prepare_cell(tf.constant(encode(with_alpha, "PNG"))), PIXELS)


def test_all_ways_through_give_the_same():
    cells = [encode(PIXELS, "PNG"), b"", encode(PIXELS, "JPEG"), encode(PIXELS[:3, :3], "BMP")]
    check_preprocessor(RowPreprocessor({"image": ImagePreprocessor(8)}), {"image": cells})


@pytest.mark.parametrize(
    "cell, kind",
    [
        (encode(PIXELS, "PNG")[:-40], "damaged image"),
        (encode(PIXELS, "JPEG")[:-40], "damaged image"),
        (b"\xff\xd8\xff" + b"\0" * 20, "damaged image"),
        (b"hello world", "not an image"),
        (make_png_header(8000, 5000), "image too large"),
    ],
)
def test_problems_are_found_and_refused_in_the_graph_too(cell, kind):
    image = ImagePreprocessor(8)
    assert image.find_problems([cell])[0][0] == kind
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.function(image.prepare_cell)(tf.constant(cell))


def test_the_bound_is_the_users():
    cell = encode(PIXELS, "PNG")
    assert ImagePreprocessor(8, max_pixels=600).find_problems([cell]) == [None]
    kind, detail, remedy, rejected = ImagePreprocessor(8, max_pixels=599).find_problems([cell])[0]
    assert (kind, rejected) == ("image too large", True)
    assert remedy == "shrink the file, or allow it by mk.Image(max_pixels=600)"


@pytest.mark.parametrize("size", [0, (1, 2, 3), (8, 0), "big"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="`size` of Image is"):
        ImagePreprocessor(size)
