import contextlib
import functools
import io
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL.Image
import PIL.ImageOps
import PIL.PngImagePlugin
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import mmkeras as mk
from mmkeras.data import media
from mmkeras.preprocessing import ImagePreprocessor, RowPreprocessor
from mmkeras.testing import check_preprocessor

pytestmark = pytest.mark.compat

IMAGE = ImagePreprocessor(8)
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), "uint8")


def encode(pixels, format, **options):
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def make_png_header(width, height):
    """What a decompression bomb begins with: a header that claims a size."""
    return encode(PIXELS, "PNG")[:16] + struct.pack(">II", width, height) + encode(PIXELS, "PNG")[24:]


def load(cell, image):
    """The pixels of a file of any format, as a dataset gives them."""
    return image.compile_cell(image.prepare_cell)(media.load(cell, "image", image.media_options)).numpy()


@functools.cache
def make_preprocessor(size):
    """One for all images of a size, whose graphs are traced once."""
    return ImagePreprocessor(size)


def prepare(image, cell):
    """The pixels of a file that the graph reads."""
    return image.compile_cell(image.prepare_cell)(cell).numpy()


def explain(cell, image):
    return image.compile_cell(image.explain_file)(cell).numpy().decode()


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(["PNG", "JPEG"]), st.data())
def test_damaged_files_give_a_problem_or_pixels_and_no_crash(format, data):
    good = bytearray(encode(PIXELS, format))
    for _ in range(data.draw(st.integers(1, 8))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    cell = bytes(good[: data.draw(st.integers(1, len(good)))])
    (problems,) = IMAGE.find_problems([cell])
    assert [problem.kind for problem in problems] == ([kind] if (kind := explain(cell, IMAGE)) else [])
    if not problems:
        assert IMAGE.compile_cell(IMAGE.prepare_cell)(cell).shape == (8, 8, 3)
    else:
        with pytest.raises((tf.errors.InvalidArgumentError, UnicodeDecodeError)):
            IMAGE.compile_cell(IMAGE.prepare_cell)(cell)


@functools.cache
def make_odd_files():
    """Images in many modes and formats, by name."""
    tile = np.random.default_rng(1).integers(0, 256, (4, 6, 3), "uint8")
    image = PIL.Image.fromarray(np.kron(tile, np.ones((4, 4, 1), "uint8")))
    files = {}
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"):
        for format in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "TGA", "PPM"):
            with contextlib.suppress(OSError, KeyError, ValueError):  # a mode that the format does not have
                files[f"{mode}.{format}"] = save(image.convert(mode), format)
    del files["YCbCr.TIFF"]  # which Pillow does not read again
    for bits in (1, 2, 4):
        files[f"palette of {bits} bits"] = save(image.quantize(2**bits), "PNG", bits=bits)
    files["palette with a transparent color"] = save(image.quantize(16), "PNG", transparency=3)
    files["progressive"] = save(image, "JPEG", progressive=True)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    for format in ("JPEG", "PNG", "WEBP", "TIFF"):
        files[f"turned.{format}"] = turned = save(image, format, exif=exif)
        if format == "JPEG":
            comment = b"\xff\xfe" + struct.pack(">H", 5002) + bytes(5000)
            files["turned, behind a comment"] = turned[:2] + comment + turned[2:]
    xmp = '<x:xmpmeta xmlns:tiff="" tiff:Orientation="8"/>'
    info = PIL.PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    files |= {"turned by XMP.JPEG": save(image, "JPEG", xmp=xmp.encode())}
    files |= {"turned by XMP.PNG": save(image, "PNG", pnginfo=info)}
    info = PIL.PngImagePlugin.PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(exif.tobytes()):8}\n{exif.tobytes().hex()}", zip=True)
    return files | {"turned by a packed profile": save(image, "PNG", pnginfo=info)}


def save(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("name", make_odd_files())
def test_every_image_is_what_pillow_makes_of_it(name):
    cell = make_odd_files()[name]
    expected = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(cell))).convert("RGB")
    image = make_preprocessor(expected.size[::-1])
    assert np.array_equal(load(cell, image), np.asarray(expected))
    is_native = media.is_native(cell, "image", image.media_options)
    assert (explain(cell, image) == "") == is_native, "the graph reads other files than Python takes it to read"


def test_a_gray_of_sixteen_bits_keeps_its_light():
    """TensorFlow would take the upper bytes, Pillow would clip."""
    gray = np.array([[0, 128 * 257, 65535]], "uint16")
    assert load(save(PIL.Image.fromarray(gray), "PNG"), ImagePreprocessor((1, 3)))[0, :, 0].tolist() == [0, 128, 255]


def test_a_file_that_is_small_but_takes_long_is_refused():
    scans = encode(np.zeros((64, 64, 3), "uint8"), "JPEG", progressive=True)
    last = scans.rindex(b"\xff\xda")
    many = scans[:last] + scans[last:-2] * 300 + scans[-2:]
    image = ImagePreprocessor(8, max_pixels=64 * 64)
    assert image.find_problems([scans]) == [[]]
    assert image.find_problems([many])[0][0].kind == explain(many, image) == "too many scans"
    assert explain(many, ImagePreprocessor(8)) == ""


def test_the_frame_of_a_gif_is_bounded_and_not_only_its_screen():
    frame = encode(np.zeros((300, 300, 3), "uint8"), "GIF")
    liar = frame[:6] + struct.pack("<HH", 10, 10) + frame[10:]
    report = mk.check(mk.read([{"image": liar}]), {"image": mk.Image(max_pixels=1000)})
    assert [problem.kind for problem in report.problems] == ["image too large"]


def test_a_image_of_the_right_size_is_unchanged():
    received = prepare(make_preprocessor((20, 30)), (encode(PIXELS, "PNG")))
    assert np.array_equal(received, PIXELS)


def test_shrinking_averages_as_pillow_does():
    expected = np.asarray(PIL.Image.fromarray(PIXELS).resize((15, 10), PIL.Image.BILINEAR), int)
    received = ImagePreprocessor((10, 15)).prepare_cell(tf.constant(encode(PIXELS, "PNG"))).numpy().astype(int)
    assert np.abs(received - expected).max() <= 1
    without = ImagePreprocessor((10, 15), antialias=False).prepare_cell(tf.constant(encode(PIXELS, "PNG")))
    assert np.abs(without.numpy().astype(int) - expected).max() > 10


def test_gray_becomes_three_channels_and_transparency_is_dropped():
    gray = prepare(make_preprocessor((20, 30)), (encode(PIXELS[..., 0], "PNG")))
    assert np.array_equal(gray, np.repeat(PIXELS[..., :1], 3, axis=2))
    with_alpha = np.dstack([PIXELS, np.zeros((20, 30), "uint8")])
    assert np.array_equal(prepare(make_preprocessor((20, 30)), (encode(with_alpha, "PNG"))), PIXELS)


def test_all_ways_through_give_the_same():
    cells = [encode(PIXELS, "PNG"), b"", encode(PIXELS, "JPEG"), encode(PIXELS[:3, :3], "PNG")]
    check_preprocessor(RowPreprocessor({"image": ImagePreprocessor(8)}), {"image": cells})


@pytest.mark.parametrize(
    "cell, kind",
    [
        (encode(PIXELS, "PNG")[:-40], "damaged image"),
        (encode(PIXELS, "JPEG")[:-40], "damaged image"),
        (b"\xff\xd8\xff" + b"\0" * 20, "damaged image"),
        (b"hello world", "not an image"),
        (make_png_header(8000, 5000), "image too large"),
        (make_png_header(2**31, 2**31), "image too large"),
        (encode(PIXELS, "BMP"), "not an image"),
    ],
)
def test_problems_are_found_and_refused_in_the_graph_too(cell, kind):
    assert IMAGE.find_problems([cell])[0][0].kind == kind
    with pytest.raises(tf.errors.InvalidArgumentError):
        IMAGE.compile_cell(IMAGE.prepare_cell)(tf.constant(cell))


def test_the_bound_is_the_users():
    cell = encode(PIXELS, "PNG")
    assert ImagePreprocessor(8, max_pixels=600).find_problems([cell]) == [[]]
    (finding,) = ImagePreprocessor(8, max_pixels=599).find_problems([cell])[0]
    assert (finding.kind, finding.rejected) == ("image too large", True)
    assert finding.remedy == "shrink the file, or allow it by mk.Image(max_pixels=600)"


@pytest.mark.parametrize("size", [0, (1, 2, 3), (8, 0), "big"])
def test_a_size_that_is_none_is_refused(size):
    with pytest.raises(ValueError, match="`size` of Image is"):
        ImagePreprocessor(size)


@pytest.mark.parametrize("little_endian", [True, False])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed_as_pillow_does(orientation, little_endian):
    image = np.zeros((48, 64, 3), "uint8")
    image[:16, :32, 0] = image[32:, 48:, 1] = 255
    exif = PIL.Image.Exif()
    exif.endian = "<" if little_endian else ">"
    exif[0x010F] = "a maker of cameras"
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    PIL.Image.fromarray(image).save(buffer, "jpeg", quality=95, exif=exif)
    expected = np.asarray(PIL.ImageOps.exif_transpose(PIL.Image.open(buffer)), int)
    received = prepare(make_preprocessor(expected.shape[:2]), buffer.getvalue()).astype(int)
    assert np.abs(received - expected).mean() < 2


@pytest.mark.parametrize("side", [64, 65, 130, 300])
def test_a_jpeg_decoded_at_a_ratio_is_close_to_one_decoded_whole(side):
    smooth = np.add.outer(np.arange(side), np.arange(side))[..., None] * [1, 2, 0] * 100 // (3 * side)
    image = PIL.Image.fromarray(smooth.astype("uint8"))
    buffer = io.BytesIO()
    image.save(buffer, "jpeg", quality=98)
    expected = np.asarray(image.resize((32, 32), PIL.Image.BILINEAR), int)
    received = prepare(make_preprocessor(32), buffer.getvalue()).astype(int)
    assert np.abs(received - expected).mean() < 2


def test_crop_keeps_the_middle_and_pad_keeps_all():
    wide = np.zeros((20, 60, 3), "uint8")
    wide[:, 20:40] = 200
    cell = tf.constant(encode(wide, "PNG"))
    assert (ImagePreprocessor(20, fit="crop").prepare_cell(cell) == 200).numpy().all()
    padded = ImagePreprocessor(30, fit="pad").prepare_cell(cell).numpy()
    assert padded[:9].max() == padded[-9:].max() == 0
    assert padded[15, 15, 0] == 200
    with pytest.raises(ValueError, match="`fit` of Image is 'stretch', 'crop' or 'pad'. Received: fit='zoom'"):
        ImagePreprocessor(8, fit="zoom")


@pytest.mark.parametrize("name", ["RGB.PNG", "L.PNG", "P.PNG", "RGB.JPEG", "L.JPEG", "RGB.BMP"])
def test_grayscale_is_the_luminance_that_pillow_gives(name):
    file = make_odd_files()[name]
    image = PIL.Image.open(io.BytesIO(file))
    expected = np.array(image.convert("RGB").convert("L"))[..., np.newaxis]
    received = load(file, ImagePreprocessor(expected.shape[:2], grayscale=True))
    assert np.abs(received.astype(int) - expected).max() <= 1
    if image.mode == "L":
        assert np.array_equal(received, np.array(image)[..., np.newaxis])


def test_threads_share_one_graph(tensorflow_messages):
    """TensorFlow would take those that wait for a graph for those that trace it, and warn."""
    traces = []

    class Slow(ImagePreprocessor):
        def prepare_cell(self, cell):
            traces.append(cell)
            time.sleep(0.2)
            return super().prepare_cell(cell)

    image, file = Slow(8), encode(PIXELS, "PNG")
    with ThreadPoolExecutor(8) as pool:
        decoded = list(pool.map(lambda _: image.compile_cell(image.prepare_cell)(file).numpy(), range(32)))
    assert len(traces) == 1 and tensorflow_messages == []
    assert all((pixels == decoded[0]).all() for pixels in decoded)
