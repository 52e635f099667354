"""Small files of sound and video, made with what is known about them."""

from fractions import Fraction

import av
import numpy as np

SOUND_FORMATS = {
    "wav": ("wav", "pcm_s16le", 44100, "stereo"),
    "wav8": ("wav", "pcm_u8", 8000, "mono"),
    "wav24": ("wav", "pcm_s24le", 48000, "mono"),
    "wavf": ("wav", "pcm_f32le", 16000, "mono"),
    "flac": ("flac", "flac", 44100, "stereo"),
    "mp3": ("mp3", "mp3", 44100, "stereo"),
    "ogg": ("ogg", "libopus", 48000, "stereo"),
    "m4a": ("mp4", "aac", 44100, "stereo"),
    "amr": ("amr", "libopencore_amrnb", 8000, "mono"),
}
VIDEO_FORMATS = {
    "mp4": ("mp4", "h264", "aac"),
    "mov": ("mov", "h264", "aac"),
    "avi": ("avi", "mpeg4", "mp3"),
    "mpeg": ("mpeg", "mpeg2video", "mp2"),
    "webm": ("webm", "vp8", "libopus"),
    "ts": ("mpegts", "h264", "aac"),
}


def make_tone(seconds, rate, frequency=440.0):
    return (0.4 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype("float32")


def write_sound(path, name="wav", seconds=1.0, frequency=440.0):
    """A tone in one of the formats above."""
    form, codec, rate, layout = SOUND_FORMATS[name]
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        _encode_sound(container, stream, make_tone(seconds, rate, frequency))
    return path


def _encode_sound(container, stream, samples):
    rate, layout = stream.rate, stream.layout.name
    channels = np.tile(samples, (2 if layout == "stereo" else 1, 1))
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), format="fltp", layout=layout)
    frame.rate = rate
    resampler = av.AudioResampler(stream.format.name, layout, rate, frame_size=stream.frame_size or None)
    for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(resampled))
    container.mux(stream.encode(None))


def write_video(path, name="mp4", frames=20, fps=10, size=(48, 64), sound=True, click=None):
    """Frame `i` is as bright as `10 + 10 * i`; the sound is silent, but for a loud tenth of a second from `click`."""
    form, video_codec, audio_codec = VIDEO_FORMATS[name]
    fps = 25 if name == "mpeg" else fps  # MPEG-2 knows only some rates
    with av.open(str(path), "w", format=form) as container:
        video = container.add_stream(video_codec, rate=fps)
        video.height, video.width, video.pix_fmt = *size, "yuv420p"
        video.time_base = Fraction(1, fps)
        video.codec_context.gop_size = 7
        rate = 48000 if audio_codec == "libopus" else 44100
        audio = container.add_stream(audio_codec, rate=rate, layout="mono") if sound else None
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 10 + 10 * (i % 24), "uint8"), format="rgb24")
            frame.pts = i
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound:
            samples = 0.001 * make_tone(frames / fps, rate)
            if click is not None:
                samples[round(click * rate) :][: rate // 10] = 2 * make_tone(0.1, rate, 1000.0)
            _encode_sound(container, audio, samples)
    return path


def measure_frequency(samples, rate):
    """The strongest frequency in hertz."""
    return float(np.argmax(np.abs(np.fft.rfft(samples * np.hanning(len(samples))))) * rate / len(samples))
