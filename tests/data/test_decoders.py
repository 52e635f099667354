"""Files of many formats, made here, through the decoding processes."""

import io
import struct

import av
import numpy as np
import PIL.Image
import pillow_heif
import pytest
import tensorflow as tf
from decoder_files import (
    AUDIO,
    CLICK,
    FPS,
    RATE,
    VIDEOS,
    finding,
    frame_indices,
    gradient,
    make_image,
    make_sound,
    make_video,
    read_png,
    read_wav,
)

from mmkeras.data.decoders import convert, probe

# Sound


def test_sound_stops_at_max_seconds():
    samples = read_wav(convert("audio", make_sound("mp3", 5), options={**AUDIO, "max_seconds": 1.5}))
    assert len(samples) == 1.5 * RATE


def test_the_same_sound_from_path_and_from_bytes(tmp_path):
    data = make_sound("flac")
    path = tmp_path / "ton \udce9.xyz"
    path.write_bytes(data)
    assert convert("audio", str(path), options=AUDIO) == convert("audio", data, options=AUDIO)


# Video


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_are_those_at_the_midpoints_of_equal_parts(name):
    data = make_video(name)
    assert frame_indices(convert("video", data, options={"frames": 6})) == [2, 7, 12, 17, 22, 27]
    assert frame_indices(convert("video", data, (1.05, 2.05), {"frames": 5})) == [11, 13, 15, 17, 19]
    assert frame_indices(convert("video", data, (2.7, 9), {"frames": 2})) == [27, 29]
    assert frame_indices(convert("video", data, (0.05, 9), {"frames": 4, "rate": 2})) == [0, 5, 10, 15]
    assert frame_indices(convert("video", data, (1.25, 1.75), {"frames": 9, "rate": 5})) == [12, 14, 16]
    assert finding("video", data, (4, 5), frames=3).kind == "beyond the end"


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_of_a_long_video_are_sought_and_are_the_right_ones(name):
    data = make_video(name, frames=400, rate=FPS)
    (part,) = convert("video", data, (33.3, 33.43), {"frames": 1})
    assert frame_indices([part]) == [333 % 31]
    times = [20, 60, 100, 140, 180, 220, 260, 300, 340, 380]
    assert frame_indices(convert("video", data, (0.05, 40.05), {"frames": 10})) == [time % 31 for time in times]


@pytest.mark.parametrize("name", VIDEOS)
def test_sound_and_images_have_one_clock(name):
    data = make_video(name)
    for start, end in [(0, 3), (1, 3), (1.5, 2)]:
        samples = read_wav(convert("audio", data, (start, end), AUDIO))
        heard = start + np.flatnonzero(np.abs(samples) > 0.3)[0] / RATE
        assert heard == pytest.approx(CLICK / FPS, abs=0.03)  # encoders start with up to a frame of silence
        before, after = convert("video", data, (heard - 0.02, heard + 0.02), {"frames": 2})
        assert frame_indices([before, after]) == [CLICK - 1, CLICK]


def test_a_video_of_few_frames_repeats_them():
    assert frame_indices(convert("video", make_video("mp4", 2, sound=False), options={"frames": 4})) == [0, 0, 1, 1]


def test_frames_are_shrunk_to_the_shorter_side():
    data = make_video("mp4", 3, (96, 48), sound=False)
    assert tf.io.decode_jpeg(convert("video", data, options={"frames": 1, "shorter_side": 24})[0]).shape == (24, 48, 3)
    assert tf.io.decode_jpeg(convert("video", data, options={"frames": 1, "shorter_side": 99})[0]).shape == (48, 96, 3)


def test_probe_measures():
    images = {"frame_rate": 10.0, "height": 64, "width": 96}
    duration = pytest.approx(3, abs=0.05)
    assert probe(make_video("webm")) == {
        "duration": duration,
        "has_audio": True,
        "has_video": True,
        "sample_rate": 48000,
        **images,
    }
    duration, nothing = pytest.approx(2, abs=0.05), dict.fromkeys(images, 0)
    found = probe(make_sound("mp3"))
    assert found == {
        "duration": duration,
        "has_audio": True,
        "has_video": False,
        "sample_rate": found["sample_rate"],
        **nothing,
    }
    assert found["sample_rate"] in (44100, 48000, 16000, 8000)


def test_a_rotated_video_is_turned_upright():
    data = make_video("mp4", 3, sound=False)
    start = data.index(b"tkhd") + 4 + 40  # the matrix of the track: as phones held upright write it
    matrix = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 64 << 16, 0, 1 << 30)
    image = tf.io.decode_jpeg(convert("video", data[:start] + matrix + data[start + 36 :], options={"frames": 1})[0])
    assert image.shape == (96, 64, 3)
    plain = tf.io.decode_jpeg(convert("video", data, options={"frames": 1})[0])
    assert np.abs(np.rot90(plain, -1).astype(int) - image.numpy()).mean() < 5


def test_containers_that_do_not_say_how_long_they_are():
    webm = make_video("webm", live="1")  # as a browser records it
    raw = make_video("ts")
    assert av.open(io.BytesIO(webm)).duration is None
    assert frame_indices(convert("video", webm, options={"frames": 3})) == [5, 15, 25]
    assert probe(webm)["duration"] == pytest.approx(3, abs=0.05)
    cut = raw[188 * 20 :]  # begins in the middle, as recordings of a broadcast do
    assert len(convert("video", cut, options={"frames": 3})) == 3
    short = make_video("mp4")
    start = short.index(b"mvhd") + 4 + 16  # the header declares less than there is
    short = short[:start] + struct.pack(">I", 1000) + short[start + 4 :]
    assert frame_indices(convert("video", short, options={"frames": 3})) == [5, 15, 25]


# Images


@pytest.mark.parametrize(
    "kind", ["PNG", "BMP", "TIFF", "WebP", "AVIF", "HEIF", "GIF", "JPEG", "JPEG2000", "PPM", "TGA"]
)
def test_an_image_of_any_format(kind):
    pillow_heif.register_heif_opener()
    options = {"WebP": {"lossless": True}}.get(
        kind, {} if kind in ("PNG", "BMP", "TIFF", "GIF", "PPM") else {"quality": 95}
    )
    pixels = read_png(convert("image", make_image(kind, **({} if kind == "TGA" else options))))
    allowed = 0 if kind in ("PNG", "BMP", "TIFF", "WebP", "PPM", "TGA") else 8
    assert np.abs(pixels - gradient()).max() <= max(allowed, 12 * (kind in ("HEIF", "GIF", "JPEG", "AVIF")))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WebP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_obeyed(kind, orientation):
    stored = gradient()
    turned = [stored, stored[:, ::-1], stored[::-1, ::-1], stored[::-1], stored.swapaxes(0, 1)]
    turned += [np.rot90(stored, -1), stored[::-1, ::-1].swapaxes(0, 1), np.rot90(stored)]
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    pixels = read_png(convert("image", make_image(kind, stored, exif=exif)))
    assert pixels.shape == turned[orientation - 1].shape
    assert np.abs(pixels - turned[orientation - 1]).mean() < 5


def test_gray_of_16_bits_is_scaled():
    gray = np.linspace(0, 65535, 24 * 32).reshape(24, 32)
    for kind, pixels in [
        ("TIFF", gray.astype("uint16")),
        ("PNG", gray.astype("uint16")),
        ("TIFF", gray.astype("int32")),
    ]:
        assert np.abs(read_png(convert("image", make_image(kind, pixels)))[..., 0] - gray / 257).max() <= 0.51
    shares = (gray / 65535).astype("float32")
    assert np.abs(read_png(convert("image", make_image("TIFF", shares)))[..., 0] - 255 * shares).max() <= 0.51


def test_first_page_palette_transparency_and_cmyk():
    pages, second = io.BytesIO(), PIL.Image.new("RGB", (9, 9))
    PIL.Image.fromarray(gradient()).save(pages, "TIFF", save_all=True, append_images=[second])
    assert (read_png(convert("image", pages.getvalue())) == gradient()).all()
    red = PIL.Image.new("RGBA", (4, 3), (250, 10, 20, 0))
    for image, kind, off in [(red, "PNG", 0), (red.convert("P"), "PNG", 40), (red.convert("CMYK"), "JPEG", 4)]:
        buffer = io.BytesIO()
        image.save(buffer, kind)
        assert np.abs(read_png(convert("image", buffer.getvalue()))[0, 0] - [250, 10, 20]).max() <= off
