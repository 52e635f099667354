"""Sound to WAV."""

import math
import struct

from .problems import Unusable
from .recording import Recording

AUDIO_LIMIT = 256 << 20  # bytes of an answer: 2.3 hours at 16 kHz
PREROLL = 1.0  # decoders of sound need some packets before the first that counts


def decode_audio(file, span, options):
    """Sound as WAV: 16 bit, mono, at `sample_rate`.

    Where the sound begins later than the images, silence stands before it. A span has all its samples unless the
    recording ends earlier.
    """
    rate = options["sample_rate"]
    start, end = span or (0.0, options.get("max_seconds") or math.inf)
    wanted = round((end - start) * rate) if end < math.inf else math.inf
    recording = Recording(file, "audio")
    resampler, source, lead, pcm = None, None, None, bytearray()
    for time, frame in recording.frames(start - PREROLL):
        if time + frame.samples / frame.sample_rate < start - 0.1:
            continue
        if lead is None:
            lead = round((time - start) * rate)  # samples of silence; below 0, samples to be cut off
            pcm += bytes(2 * max(0, min(lead, wanted, AUDIO_LIMIT)))
        if len(pcm) // 2 + min(lead, 0) >= wanted:
            break
        frame = prepare_frame(frame)
        if (frame.format.name, frame.layout.name, frame.sample_rate) != source:
            pcm += resample(resampler, None)
            resampler, source = make_resampler(rate), (frame.format.name, frame.layout.name, frame.sample_rate)
        pcm += resample(resampler, frame)
        if len(pcm) > AUDIO_LIMIT:
            detail = f"it has more than {AUDIO_LIMIT // 2 / rate / 3600:.1f} hours"
            raise Unusable("recording too long", detail, "give `max_seconds`, or read it in windows")
    pcm += resample(resampler, None)
    if lead is None and start > 0:
        raise beyond_the_end(start, recording)
    pcm = pcm[2 * max(0, -(lead or 0)) :]
    pcm = pcm[: 2 * wanted] if wanted < math.inf else pcm
    if not pcm:
        if start > 0:
            raise beyond_the_end(start, recording)
        raise Unusable("no samples", "its sound has no samples", "replace the file, or leave the cell empty")
    header = struct.pack("<4sI8sIHHIIHH4sI", b"RIFF", 36 + len(pcm), b"WAVEfmt ", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", len(pcm))  # fmt: skip # noqa: E501
    return {}, [header + pcm]


def beyond_the_end(start, recording):
    end = recording.measure_ends().get(recording.stream.index, 0.0)
    return Unusable(
        "beyond the end", f"it is read from {start:g} s on, and ends at {end:.2f} s", "correct the start in the row"
    )


def make_resampler(rate):
    import av

    return av.AudioResampler("s16", "mono", rate)


def prepare_frame(frame):
    """A frame that the resampler takes: channels whose positions are unknown are averaged here."""
    import av

    if "channels" in frame.layout.name:
        import numpy as np

        samples, packed, rate = frame.to_ndarray(), frame.format.is_packed, frame.sample_rate
        samples = samples.reshape(-1, frame.layout.nb_channels).T if packed else samples
        if samples.dtype.kind in "iu":
            limits = np.iinfo(samples.dtype)
            samples = (samples - (limits.min + limits.max + 1) / 2) / ((limits.max - limits.min + 1) / 2)
        frame = av.AudioFrame.from_ndarray(samples.mean(0, "float32", keepdims=True), "fltp", "mono")
        frame.sample_rate = rate
    frame.pts = None  # the samples are counted
    return frame


def resample(resampler, frame):
    if resampler is None:
        return b""
    return b"".join(bytes(part.planes[0])[: 2 * part.samples] for part in resampler.resample(frame))
