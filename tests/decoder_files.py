"""Media of many formats, made here."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from mmkeras.data.decoders import MediaError, convert

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
