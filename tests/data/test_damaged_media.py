"""What is wrong with files, told by the decoding processes."""

import io
import os
import struct
import zipfile
import zlib

import av
import numpy as np
import pillow_heif
import pytest
from decoder_files import (
    AUDIO,
    RATE,
    encode_sound,
    finding,
    frame_indices,
    make_image,
    make_sound,
    make_video,
    read_wav,
    wav_bytes,
)

from mmkeras.data.decoders import MediaError, convert, probe


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
    assert finding("audio", make_image("PNG")).kind == "not audio"


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
