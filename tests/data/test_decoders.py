"""Files of many formats, made here, through the decoding processes."""

import io
import os
import random
import signal
import struct
import subprocess
import sys
import textwrap
import time
import zipfile
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av
import numpy as np
import PIL.Image
import pillow_heif
import psutil
import pytest
import tensorflow as tf

from mmkeras.data import decoders
from mmkeras.data.decoders import MediaError, convert, probe

RATE = 16000
AUDIO = {"sample_rate": RATE}
FPS, FRAMES, CLICK = 10, 30, 17  # of the made videos; the sound track clicks when this frame is shown

SOUNDS = {  # container, codec, rate, layout, format of the samples
    "wav": ("wav", "pcm_s16le", 44100, "stereo"),
    "wav 8 bit": ("wav", "pcm_u8", 11025, "mono"),
    "wav 24 bit": ("wav", "pcm_s24le", 48000, "stereo"),
    "wav 32 bit": ("wav", "pcm_s32le", 22050, "mono"),
    "wav float": ("wav", "pcm_f32le", 16000, "stereo"),
    "aiff": ("aiff", "pcm_s16be", 44100, "stereo"),
    "flac": ("flac", "flac", 44100, "stereo"),
    "mp3": ("mp3", "libmp3lame", 44100, "stereo"),
    "opus": ("ogg", "libopus", 48000, "mono"),
    "vorbis": ("ogg", "vorbis", 44100, "stereo"),
    "m4a": ("ipod", "aac", 44100, "stereo"),
    "aac": ("adts", "aac", 44100, "mono"),
    "webm": ("webm", "libopus", 48000, "stereo"),
    "amr": ("amr", "libopencore_amrnb", 8000, "mono"),
    "wma": ("asf", "wmav2", 44100, "stereo"),
}
VIDEOS = {  # container, codec of the images, codec of the sound
    "mp4": ("mp4", "libx264", "aac"),
    "mov": ("mov", "mpeg4", "pcm_s16le"),
    "mpeg": ("mpeg", "mpeg2video", "mp2"),
    "ts": ("mpegts", "libx264", "aac"),
    "avi": ("avi", "mpeg4", "pcm_s16le"),
    "webm": ("webm", "libvpx", "libopus"),
    "mkv": ("matroska", "mjpeg", "flac"),
}


def tone(seconds, rate, frequency=1000):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def encode_sound(container, codec, rate, layout, samples, variable=False, **options):
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=options) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.options = {"strict": "experimental"}  # of which Vorbis is
        if variable:
            stream.codec_context.qscale, stream.codec_context.global_quality = True, 4 * 118
        if codec == "wmav2":
            stream.bit_rate = 128_000
        write_sound(output, stream, samples, rate, layout)
    return buffer.getvalue()


def write_sound(output, stream, samples, rate, layout):
    channels = np.repeat(samples[None], stream.layout.nb_channels, 0).astype("float32")
    frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
    frame.sample_rate, frame.pts = rate, 0
    output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def make_sound(name, seconds=2.0, **options):
    container, codec, rate, layout = SOUNDS[name]
    try:
        return encode_sound(container, codec, rate, layout, tone(seconds, rate), **options)
    except (av.FFmpegError, ValueError) as error:
        pytest.skip(f"FFmpeg here writes no {name}: {error}")


def level(index):
    return 20 + 7 * (index % 31)


def make_video(name, frames=FRAMES, size=(96, 64), sound=True, rate=FPS, path=None, **options):
    """Frame `i` is gray of `level(i)` on average; the sound clicks at the start of frame CLICK."""
    noise = np.random.default_rng(0).choice([-15, 15], (frames, size[1] // 2, size[0], 1))
    noise = np.concatenate([noise, -noise], 1)  # MPEG dates only the first frame of a pack: none should be tiny
    container, video_codec, audio_codec = VIDEOS[name]
    buffer = io.BytesIO()
    with av.open(buffer if path is None else str(path), "w", format=container, options=options) as output:
        stream = output.add_stream(video_codec, rate=rate, width=size[0], height=size[1])
        stream.pix_fmt = "yuvj420p" if video_codec == "mjpeg" else "yuv420p"
        if video_codec == "libvpx":
            stream.options = {"deadline": "realtime", "cpu-used": "8"}
        stream.gop_size, stream.bit_rate, stream.codec_context.max_b_frames = 12, 4_000_000, 0
        if sound:
            samples = np.zeros(48000 * frames // rate)
            samples[48000 * CLICK // rate :][:480] = 0.9
            audio = output.add_stream(audio_codec, rate=48000, layout="mono")
        for i in range(frames):
            image = np.repeat(level(i) + noise[i], 3, -1).astype("uint8")
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = i, Fraction(1, rate)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound:
            write_sound(output, audio, samples, 48000, "mono")
    return buffer.getvalue()


def make_image(kind, pixels=None, **options):
    image = PIL.Image.fromarray(gradient() if pixels is None else pixels)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(height=24, width=32):
    return np.stack(np.broadcast_arrays(np.arange(height)[:, None] * 8, np.arange(width)[None] * 8, 90), -1).astype(
        "uint8"
    )


def read_wav(data):
    samples, rate = tf.audio.decode_wav(data)
    assert (int(rate), samples.shape[1], data[36:40]) == (RATE, 1, b"data")
    return samples.numpy()[:, 0]


def read_png(data):
    assert data.startswith(b"\x89PNG")
    return tf.io.decode_png(data).numpy().astype(int)


def loudest_frequency(samples):
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return spectrum.argmax() * RATE / len(samples)


def lag(part, whole, position, most=200):
    """By how many samples `part` lies off `position` in `whole`."""
    middle = part[most : 4 * most + RATE // 2]
    errors = [
        np.square(whole[position + most + shift :][: len(middle)] - middle).sum() for shift in range(-most, most + 1)
    ]
    return int(np.argmin(errors)) - most


def frame_indices(parts):
    """Which frames these are, by their gray."""
    levels = [tf.io.decode_jpeg(part).numpy().mean() for part in parts]
    return [round((value - 20) / 7) for value in levels]


def finding(media_type, cell, span=None, **options):
    with pytest.raises(MediaError) as error:
        convert(media_type, cell, span, {**(AUDIO if media_type == "audio" else {}), **options})
    assert error.value.finding.rejected
    return error.value.finding


# Sound


@pytest.mark.parametrize("name", SOUNDS)
def test_a_tone_of_any_format_keeps_its_frequency_and_length(name):
    samples = read_wav(convert("audio", make_sound(name), options=AUDIO))
    assert loudest_frequency(samples[1000:-1000]) == pytest.approx(1000, abs=2)
    assert np.abs(samples[3000:-3000]).max() == pytest.approx(0.5, abs=0.06)
    exact = name.startswith(("wav", "aiff", "flac", "mp3"))
    assert len(samples) == pytest.approx(2 * RATE, abs=2 if exact else 0.1 * RATE)


@pytest.mark.parametrize("name", SOUNDS)
def test_a_span_of_sound_is_cut_at_the_sample(name):
    container, codec, rate, layout = SOUNDS[name]
    noise = np.convolve(np.random.default_rng(0).normal(size=12 * rate), np.ones(rate // 2000), "same") / 20
    try:
        data = encode_sound(container, codec, rate, layout, noise)
    except (av.FFmpegError, ValueError):
        pytest.skip(f"FFmpeg here writes no {name}")
    whole = read_wav(convert("audio", data, options=AUDIO))
    for start, end in [(0.5, 1.5), (8.123, 9.5), (3, 3.01)]:
        part = read_wav(convert("audio", data, (start, end), AUDIO))
        assert len(part) == round((end - start) * RATE)
        if len(part) > RATE:
            # Matroska keeps times in milliseconds, of which a seek has nothing better.
            assert abs(lag(part, whole, round(start * RATE))) <= (17 if name in ("webm", "wma") and start > 2 else 1)
    tail = read_wav(convert("audio", data, (11.5, 14), AUDIO))
    assert len(tail) == pytest.approx(len(whole) - 11.5 * RATE, abs=20)
    assert finding("audio", data, (30, 31)).kind == "beyond the end"


def test_a_sound_of_several_channels_is_averaged_or_mixed_to_one():
    for layout, channels in [("5.1", 6), ("stereo", 2)]:
        samples = read_wav(
            convert("audio", encode_sound("wav", "pcm_s16le", 16000, layout, tone(1, 16000)), options=AUDIO)
        )
        assert loudest_frequency(samples) == pytest.approx(1000, abs=2), channels
    data = make_array_wav(channels=7)
    assert np.abs(read_wav(convert("audio", data, options=AUDIO))).max() == pytest.approx(0.5 / 7, abs=0.01)


def make_array_wav(channels):
    """A recording of many microphones without positions, one of which hears a tone."""
    samples = np.zeros((RATE, channels), "<i2")
    samples[:, 3] = 32767 * tone(1, RATE)
    return wav_bytes(samples.tobytes(), channels=channels)


def wav_bytes(data, channels=1, rate=RATE, declared=None):
    declared = len(data) if declared is None else declared
    form = struct.pack("<HHIIHH", 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    return (
        b"RIFF"
        + struct.pack("<I", min(36 + declared, 2**32 - 1))
        + b"WAVEfmt \x10\0\0\0"
        + form
        + b"data"
        + struct.pack("<I", declared)
        + data
    )


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
    assert probe(make_video("webm")) == {"duration": pytest.approx(3, abs=0.05), "has_audio": True, "has_video": True}
    assert probe(make_sound("mp3")) == {"duration": pytest.approx(2, abs=0.05), "has_audio": True, "has_video": False}


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


# What is wrong with files


def png_claiming(width, height):
    data = bytearray(make_image("PNG"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


def tiff_claiming(side):
    entries = [(256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, side), (279, side)]
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(64)


@pytest.mark.parametrize("data", [png_claiming(100_000, 100_000), tiff_claiming(100_000)], ids=["png", "tiff"])
def test_a_decompression_bomb_is_refused_by_its_header(data):
    found = finding("image", data, max_pixels=2**25)
    assert found.kind == "image too large"
    assert found.detail == "it has 10000.0 megapixels, more than the 33.6 allowed"


def test_a_video_of_large_frames_is_refused():
    assert finding("video", make_video("mp4", 3, (640, 480)), frames=1, max_pixels=300_000).kind == "video too large"


def test_a_wav_that_claims_hours():
    data = wav_bytes(bytes(3200), declared=2 * RATE * 3600 * 5)
    found = finding("audio", data)
    assert (found.kind, found.remedy) == ("damaged audio", "replace the file")
    assert found.detail == "it breaks off: it has 3,244 of the 576,000,044 bytes that it declares"
    streamed = wav_bytes(bytes(3200), declared=2**32 - 1)  # by a program that did not know the length
    assert len(read_wav(convert("audio", streamed, options=AUDIO))) == 1600


@pytest.mark.slow
def test_a_recording_too_long_for_memory(tmp_path):
    path = tmp_path / "long.wav"
    path.write_bytes(wav_bytes(b"", channels=1, rate=8000, declared=400_000_000))
    os.truncate(path, 400_000_044)
    assert finding("audio", str(path)).kind in ("recording too long", "decoding takes too long")
    assert len(read_wav(convert("audio", str(path), (20_000, 20_001), AUDIO))) == RATE


@pytest.mark.parametrize(
    "media_type, kind", [("image", "not an image"), ("audio", "not audio"), ("video", "not video")]
)
def test_a_sparse_file_of_two_gigabytes(tmp_path, media_type, kind):
    path = tmp_path / "sparse"
    path.touch()
    os.truncate(path, 2 << 30)
    assert finding(media_type, str(path), **({"frames": 1} if media_type == "video" else {})).kind == kind


@pytest.mark.parametrize("media_type", ["image", "audio", "video"])
def test_files_of_another_kind(tmp_path, media_type):
    options = {"frames": 1} if media_type == "video" else {}
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as output:
        output.writestr("a.txt", "some text " * 100)
        output.writestr("a.wav", make_sound("wav", 0.2))
    name = "not an image" if media_type == "image" else f"not {media_type}"
    for i, content in enumerate([archive.getvalue(), b"hello, this is text\n" * 40, b"x", os.urandom(10)]):
        path = tmp_path / f"{i}.wav"
        path.write_bytes(content)
        assert finding(media_type, str(path), **options).kind == name
    assert finding(media_type, b"", **options).kind == "empty file"
    assert finding(media_type, str(tmp_path), **options).kind == "unreadable file"
    assert finding(media_type, str(tmp_path / "none"), **options).detail == "No such file or directory"


def test_a_playlist_reaches_no_other_file(tmp_path):
    (tmp_path / "secret.wav").write_bytes(make_sound("wav"))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n".encode()
    concat = f"ffconcat version 1.0\nfile '{tmp_path}/secret.wav'\n".encode()
    for content in (playlist, concat):
        (tmp_path / "list.m3u8").write_bytes(content)
        assert finding("audio", str(tmp_path / "list.m3u8")).kind == "not audio"
        assert finding("audio", content).kind == "not audio"


def test_a_silent_video_and_a_sound_without_images():
    assert finding("audio", make_video("mp4", 3, sound=False)).kind == "no sound track"
    assert finding("video", make_sound("m4a"), frames=1).kind == "no frames"
    assert finding("audio", make_image("PNG")).kind == "no sound track"


def test_sound_of_no_samples_and_video_of_no_frames():
    assert finding("audio", wav_bytes(b"")).kind == "no samples"
    data = make_video("mkv", 3, sound=False)
    empty = data[: data.index(b"\x1f\x43\xb6\x75")]  # before the first cluster
    assert finding("video", empty, frames=1).kind in ("no frames", "damaged video")


@pytest.mark.parametrize(
    "name", ["wav", "wav 24 bit", "aiff", "flac", "mp3", "opus", "vorbis", "m4a", "aac", "webm", "amr", "wma"]
)
def test_a_sound_file_that_breaks_off_is_refused(name):
    data = make_sound(name, 3)
    for share in (0.3, 0.6):
        assert finding("audio", data[: round(share * len(data)) + 3]).kind == "damaged audio"


@pytest.mark.parametrize("name", ["mp4", "mov", "avi", "webm", "mkv"])
def test_a_video_that_breaks_off_is_refused(name):
    data = make_video(name)
    for share in (0.3, 0.6):
        assert finding("video", data[: round(share * len(data)) + 3], frames=4).kind == "damaged video"


def test_a_video_that_breaks_off_behind_its_index_is_refused(tmp_path):
    make_video("mp4", path=tmp_path / "a.mp4", movflags="+faststart")
    data = (tmp_path / "a.mp4").read_bytes()
    assert frame_indices(convert("video", data, options={"frames": 3})) == [5, 15, 25]
    cut = data[: len(data) // 2]
    assert finding("video", cut, frames=3).kind == "damaged video"
    assert finding("audio", cut).kind == "damaged audio"
    with pytest.raises(MediaError, match="damaged video: it breaks off: it holds 1.* s of the 3.0 s that it declares"):
        probe(cut)
    assert frame_indices(convert("video", cut, (0, 1), {"frames": 2})) == [2, 7]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP", "TIFF", "HEIF", "AVIF", "GIF"])
def test_an_image_that_breaks_off_is_refused(kind):
    pillow_heif.register_heif_opener()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), "uint8")
    data = make_image(kind, noise)
    assert finding("image", data[: len(data) // 2]).kind == "damaged image"


def test_tags_and_padding_behind_an_mp3_are_benign():
    data = make_sound("mp3")
    whole = convert("audio", data, options=AUDIO)
    for tail in (b"TAG" + bytes(125), bytes(700), b"APETAGEX" + b"some text " * 60):
        assert convert("audio", data + tail, options=AUDIO) == whole
    middle = len(data) // 2
    assert finding("audio", data[:middle] + bytes(3000) + data[middle + 3000 :]).kind == "damaged audio"


def test_an_mp3_of_which_ffmpeg_guesses_the_length_wrongly():
    loud, rate = np.random.default_rng(0).normal(size=4 * 44100) / 4, 44100
    samples = np.concatenate([loud, np.zeros(20 * rate)])
    data = encode_sound("mp3", "libmp3lame", rate, "mono", samples, variable=True, write_xing="0", id3v2_version="0")
    with av.open(io.BytesIO(data)) as container:
        assert abs(container.duration / 1e6 - 24) > 1.5
    for _ in range(2):
        assert len(read_wav(convert("audio", data, options=AUDIO))) == pytest.approx(24 * RATE, abs=RATE / 10)
        assert probe(data)["duration"] == pytest.approx(24, abs=0.1)


# The processes


def test_a_worker_that_is_killed_or_hangs_is_told_and_replaced():
    good = make_image("WebP")
    expected = convert("image", good)
    with ThreadPoolExecutor(1) as pool:
        for number, kind, detail in [
            (signal.SIGKILL, "decoder crashed", "it was killed by SIGKILL"),
            (signal.SIGSTOP, "decoding takes too long", "it took more than 1 s"),
        ]:
            (worker,) = [decoders._pool._idle[-1]]
            os.kill(worker.process.pid, signal.SIGSTOP)
            answer = pool.submit(convert, "image", good, time_limit=1.0)
            time.sleep(0.2)
            os.kill(worker.process.pid, number)
            with pytest.raises(MediaError) as error:
                answer.result()
            assert error.value.finding == (kind, detail, error.value.finding.remedy, True, 0)
            assert str(error.value).startswith(f"{kind}: {detail}. Fix: ")
            assert convert("image", good) == expected
            assert worker.process.poll() is not None


def test_an_idle_worker_that_was_killed_costs_no_row():
    good = make_image("WebP")
    expected = convert("image", good)
    for worker in decoders._pool._idle:
        worker.process.kill()
        worker.process.wait()
    assert convert("image", good) == expected


def test_many_threads_get_their_own_results():
    cells = [make_image("WebP", np.full((8, 8, 3), i, "uint8"), lossless=True) for i in range(200)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda cell: read_png(convert("image", cell)).mean(), cells))
    assert answers == list(range(200))
    assert len(decoders._pool._all) <= os.cpu_count()


def test_in_a_dataset_through_numpy_function():
    cells = [make_image("WebP", np.full((8, 8, 3), i, "uint8"), lossless=True) for i in range(20)]
    read = lambda cell: tf.io.decode_png(tf.numpy_function(lambda x: convert("image", x), [cell], tf.string))  # noqa: E731
    dataset = tf.data.Dataset.from_tensor_slices(cells).map(read, num_parallel_calls=4)
    assert [int(pixels[0, 0, 0]) for pixels in dataset] == list(range(20))


def test_memory_stays_flat(capfd):
    cell, sound = make_image("WebP", np.zeros((300, 300, 3), "uint8")), make_sound("mp3")
    sizes = []
    for _ in range(3):
        for _ in range(30):
            convert("image", cell)
            convert("audio", sound, options=AUDIO)
        workers = [worker.process.pid for worker in decoders._pool._all]
        sizes.append(sum(psutil.Process(pid).memory_info().rss for pid in [os.getpid(), *workers]))
    assert sizes[2] < 1.03 * sizes[1]
    assert capfd.readouterr() == ("", "")


def run_python(code, *arguments):
    code = "from mmkeras.data.decoders import *\nimport sys, os, signal\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)


def test_a_script_ends_without_noise_and_leaves_no_process(tmp_path):
    path = tmp_path / "a.webp"
    path.write_bytes(make_image("WebP"))
    code = """
        from mmkeras.data import decoders
        convert("image", sys.argv[1])
        child = os.fork()
        if child == 0:
            convert("image", sys.argv[1])
            sys.exit(0)
        print(os.waitpid(child, 0)[1], decoders._pool._idle[0].process.pid, flush=True)
        convert("image", sys.argv[1])
    """
    process = run_python(code, str(path))
    status, pid = process.stdout.split()
    assert (process.returncode, status) == (0, "0")
    assert "fork" in process.stderr or process.stderr == ""
    assert not psutil.pid_exists(int(pid))


def test_a_worker_ends_with_its_input():
    process = subprocess.run([sys.executable, "-P", decoders._SCRIPT], stdin=subprocess.DEVNULL, capture_output=True)
    assert (process.returncode, process.stderr) == (0, b"")


def test_a_missing_package_is_an_import_error(tmp_path, monkeypatch):
    (tmp_path / "av.py").write_text("raise ModuleNotFoundError(\"No module named 'av'\", name='av')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(decoders, "_pool", decoders._Pool())
    with pytest.raises(
        ImportError, match=r"This file is read with av, which is not installed: pip install 'mmkeras\[media"
    ):
        convert("audio", b"RIFF", options=AUDIO)
    decoders._pool.close()


def test_an_unknown_medium():
    with pytest.raises(ValueError, match="`media_type` is 'image', 'audio' or 'video'. Received: media_type='text'"):
        convert("text", b"")


@pytest.mark.parametrize("span", [(1, 1), (-1, 2), (0, float("nan")), (0, float("inf"))])
def test_a_span_that_is_none(span):
    with pytest.raises(ValueError, match="`span` is a start from 0 on and a later end"):
        convert("audio", b"", span, AUDIO)


# Mutations


def mutate(data, rng):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 3, 20])):
        start, length = rng.randrange(len(data)), rng.choice([1, 2, 4, 64, 1000])
        match rng.randrange(5):
            case 0:
                data[start : start + length] = rng.randbytes(min(length, len(data) - start))
            case 1:
                data[start] ^= 1 << rng.randrange(8)
            case 2:
                data[start : start + length] = rng.choice([b"\0", b"\xff", b"\x7f"]) * min(length, len(data) - start)
            case 3:
                data[start:start] = data[: rng.randrange(2000)]
            case 4 if len(data) > 100:
                del data[start : start + length]
        data = data or bytearray(1)
    return bytes(data)


IMAGES = ["WebP", "TIFF", "AVIF", "HEIF", "PNG", "JPEG", "GIF", "BMP", "JPEG2000"]


def make_requests(media_type, kind):
    """Calls of `convert` on one sound file of that kind."""
    if media_type == "image":
        pillow_heif.register_heif_opener()
        return [(media_type, make_image(kind), None, {"max_pixels": 2**25})]
    if media_type == "audio":
        cell = make_sound(kind, 0.5)
        return [(media_type, cell, span, AUDIO) for span in (None, (0.2, 0.4))]
    cell, options = make_video(kind, 12), {"frames": 4, "max_pixels": 2**22}
    images = [("video", cell, span, options) for span in (None, (0.3, 0.9))]
    return [*images, ("audio", cell, None, AUDIO), ("audio", cell, (0.2, 0.4), AUDIO)]


MUTATED = [*[("image", kind) for kind in IMAGES], *[("audio", k) for k in SOUNDS], *[("video", k) for k in VIDEOS]]


def check_mutations(requests, count, seed):
    rng = random.Random(seed)
    jobs = [
        (media_type, mutate(cell, rng), *rest)
        for media_type, cell, *rest in (rng.choice(requests) for _ in range(count))
    ]
    kinds = Counter()

    def run(job):
        started = time.monotonic()
        try:
            answer = convert(*job)
            for part in answer if isinstance(answer, list) else [answer]:
                assert part.startswith((b"\x89PNG", b"RIFF", b"\xff\xd8")) and len(part) > 44
            kinds["read"] += 1
        except MediaError as error:
            kinds[error.finding.kind] += 1
        assert time.monotonic() - started < 12

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # none waits for another
        list(pool.map(run, jobs))
    return kinds


def test_mutated_files_are_read_or_refused(capfd):
    requests = [request for media_type, kind in MUTATED for request in make_requests(media_type, kind)]
    kinds = check_mutations(requests, 100, seed=0)
    assert kinds.total() == 100 and kinds["decoder crashed"] == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("media_type, kind", MUTATED)
def test_5000_mutated_files_are_read_or_refused(media_type, kind, capfd):
    kinds = check_mutations(make_requests(media_type, kind), 5000, seed=1)
    assert kinds.total() == 5000
    assert kinds["decoder crashed"] + kinds["decoding takes too long"] <= 50, kinds
    assert capfd.readouterr() == ("", "")
