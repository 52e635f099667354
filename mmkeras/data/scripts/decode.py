"""Converts media files into what TensorFlow reads: images to PNG, sound to WAV, video to JPEG frames.

A process of its own, so that a hostile or broken file ends nothing but it. Requests come on standard input and answers
go to standard output: 4 bytes length and a JSON header, then the parts that the header gives the sizes of.
"""

import io
import json
import os
import struct
import sys
import wave

_MEMORY_LIMIT = 6 * 2**30  # bytes of address space
_TIME_BASE = 1_000_000  # of a container's own duration, ticks a second


class Bad(Exception):
    """What is wrong with a file: kind, detail, remedy."""


# === Images ===


def convert_image(data, options):
    """The first picture of a file as PNG, turned as its EXIF data say; transparency is dropped."""
    import PIL.Image
    import PIL.ImageOps

    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
    except ImportError:
        pass
    PIL.Image.MAX_IMAGE_PIXELS = None  # the bound below is the user's
    try:
        image = PIL.Image.open(data)
    except (PIL.UnidentifiedImageError, OSError, ValueError, SyntaxError):
        start = _peek(data)
        raise Bad(
            "not an image", f"it starts with {start!r}, as no picture does", "convert it to PNG or JPEG"
        ) from None
    width, height = image.size
    if width * height > options["max_pixels"]:
        raise Bad(
            "image too large",
            f"it has {width * height / 1e6:.1f} megapixels, more than the {options['max_pixels'] / 1e6:.1f} allowed",
            f"shrink the file, or allow it by `max_pixels={width * height}`",
        )
    try:
        image = PIL.ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):  # 16 bits and more: Pillow would cut off all above 255
            image = _to_8_bits(image)
        if image.mode in ("RGBA", "LA", "PA", "P"):
            image = image.convert("RGBA")  # the colours under transparent pixels, as TensorFlow's decoders keep them
        output = io.BytesIO()
        image.convert("RGB").save(output, "png", compress_level=1)
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, struct.error) as error:
        raise Bad("damaged image", f"it cannot be decoded ({error})", "replace the file") from None
    return [output.getvalue()]


def _to_8_bits(image):
    import numpy as np
    import PIL.Image

    pixels = np.asarray(image).astype("float64")
    largest = 65535 if pixels.max() > 255 else 255
    return PIL.Image.fromarray(np.clip(np.round(pixels * 255 / largest), 0, 255).astype("uint8"))


def _peek(data):
    if isinstance(data, str):
        with open(data, "rb") as file:
            return file.read(8)
    return data.getvalue()[:8]


# === Sound ===


def convert_audio(data, options, span):
    """The sound of a file, or a span of it, as WAV: PCM of 16 bits, one channel."""
    import av
    import numpy as np

    rate = options["sample_rate"]
    with _open(data, "audio") as container:
        stream = _get_stream(container, "audio")
        start, end = span or (0.0, options["max_seconds"])
        origin = _get_origin(container)
        if start > 1:
            container.seek(round((origin + start - 0.5) * _TIME_BASE))
        resampler = av.AudioResampler(format="s16", layout="mono", rate=rate)
        pieces, first, count = [], None, 0
        for frame in _decode(container, stream, "audio"):
            if frame.time is not None and first is None:
                first = frame.time - origin
            frame.pts = None  # gaps in the time stamps are not filled
            for resampled in resampler.resample(frame):
                pieces.append(resampled.to_ndarray()[0])
                count += len(pieces[-1])
            if (first or 0.0) + count / rate >= end:
                break
        for resampled in resampler.resample(None):
            pieces.append(resampled.to_ndarray()[0])
    samples = np.concatenate(pieces) if pieces else np.zeros(0, "int16")
    if not len(samples):
        raise Bad(*(_beyond(span) if span else ("no samples", "the recording has no sound in it", "replace the file")))
    lead = round(((first or 0.0) - start) * rate)  # what was decoded before the span, or is missing at its beginning
    samples = samples[-lead:] if lead < 0 else np.pad(samples, (lead if span else 0, 0))
    samples = samples[: round((end - start) * rate)]
    if not len(samples):
        raise Bad(*_beyond(span))
    output = io.BytesIO()
    with wave.open(output, "wb") as writer:
        writer.setparams((1, 2, rate, len(samples), "NONE", ""))
        writer.writeframes(samples.astype("<i2").tobytes())
    return [output.getvalue()]


# === Video ===


def convert_video(data, options, span):
    """Frames of a file, or of a span of it, as JPEG files."""
    with _open(data, "video") as container:
        stream = _get_stream(container, "video")
        _check_pixels(stream.width, stream.height, options["max_pixels"])
        stream.thread_type = "AUTO"
        origin = _get_origin(container)
        start, end = span or (0.0, _get_duration(container, stream))
        if end is None:
            end = _find_end(container, stream, origin)
            container.seek(0)
        wanted = _choose_times(start, end, options["frames"], options["rate"])
        if start > 1:
            container.seek(round((origin + start - 0.5) * _TIME_BASE))
        chosen = _pick(_decode(container, stream, "video"), wanted, origin, stream)
        if not chosen:
            raise Bad(
                *(_beyond(span) if span else ("no frames", "the video has no pictures in it", "replace the file"))
            )
        return [_to_jpeg(frame, options["shorter_side"]) for frame in chosen]


def _choose_times(start, end, frames, rate):
    """The middles of equal parts, or one time every 1/rate seconds."""
    if rate is None:
        return [start + (end - start) * (i + 0.5) / frames for i in range(frames)]
    count = max(1, min(frames, int((end - start) * rate + 1e-6)))
    return [start + i / rate for i in range(count)]


def _pick(decoded, times, origin, stream):
    """For each time the frame that is shown then: the last that began before it, or the first there is."""
    chosen, before, place = [], None, 0
    interval = 1 / float(stream.average_rate or 25)
    for index, frame in enumerate(decoded):
        time = index * interval if frame.time is None else frame.time - origin
        while place < len(times) and time > times[place] + 1e-6:
            chosen.append(frame if before is None else before)
            place += 1
        if place == len(times):
            return chosen
        before = frame
        last = time + interval
    if before is None or last <= times[0] - interval:
        return []
    return chosen + [before] * (len(times) - place)


def _find_end(container, stream, origin):
    times = [0.0]
    for index, frame in enumerate(_decode(container, stream, "video")):
        times.append(index / 25 if frame.time is None else frame.time - origin)
    return max(times) + 1 / float(stream.average_rate or 25)


def _to_jpeg(frame, shorter_side):
    import PIL.Image

    image = frame.to_image()
    if frame.rotation:
        image = image.rotate(frame.rotation, expand=True)
    if shorter_side and min(image.size) > shorter_side:
        scale = shorter_side / min(image.size)
        image = image.resize([max(1, round(side * scale)) for side in image.size], PIL.Image.Resampling.BOX)
    output = io.BytesIO()
    image.save(output, "jpeg", quality=95)
    return output.getvalue()


def _check_pixels(width, height, largest):
    if width * height > largest:
        raise Bad(
            "video too large",
            f"its frames have {width * height / 1e6:.1f} megapixels, more than the {largest / 1e6:.1f} allowed",
            f"shrink the file, or allow it by `max_pixels={width * height}`",
        )


# === What sound and video share ===


def probe(data):
    """Length in seconds, and which streams there are."""
    with _open(data, "video") as container:
        streams = container.streams
        video = streams.video[0] if streams.video else None
        duration = _get_duration(container, video or streams.audio[0]) if video or streams.audio else None
        if duration is None and (video or streams.audio):
            duration = _find_end(container, video or streams.audio[0], _get_origin(container))
        return {"duration": duration, "has_audio": bool(streams.audio), "has_video": bool(streams.video)}


def _open(data, medium):
    import av

    av.logging.set_level(None)
    try:
        return av.open(data, metadata_errors="ignore")
    except (av.FFmpegError, ValueError, EOFError) as error:
        article = "audio" if medium == "audio" else "a video"
        raise Bad(f"not {article}", f"FFmpeg cannot open it ({error.strerror or error})", "replace the file") from None


def _get_stream(container, medium):
    streams = container.streams.audio if medium == "audio" else container.streams.video
    if streams and (streams[0].codec_context is not None):
        return streams[0]
    if medium == "audio":
        raise Bad("no sound track", "the file has pictures and no sound", "name another file, or leave the cell empty")
    raise Bad("no frames", "the file has no pictures in it", "name another file, or leave the cell empty")


def _decode(container, stream, medium):
    """Frames, until the file ends; a file that is damaged on the way is an error and not a shorter file."""
    import av

    damaged = Bad(f"damaged {medium}", "it cannot be decoded to its end", "replace the file")
    decoded = 0
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise damaged
            try:
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise damaged
                    decoded += 1
                    yield frame
            except av.error.EOFError:
                return
            except av.error.InvalidDataError:
                # Decoders of MP3 stumble over tags at the beginning and the end; only there it is harmless.
                if packet.size and decoded and container.format.name != "mp3":
                    raise damaged from None
    except av.FFmpegError:
        raise damaged from None


def _get_origin(container):
    """When the file begins, in seconds on the clock that its streams share: with the first picture, where it has any.

    Sound may begin before 0: encoders put some samples in front that are no part of the recording.
    """
    streams = container.streams
    if streams.video and streams.video[0].start_time is not None:
        return float(streams.video[0].start_time * streams.video[0].time_base)
    return max(0.0, (container.start_time or 0) / _TIME_BASE)


def _get_duration(container, stream):
    if container.duration:
        return container.duration / _TIME_BASE
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return None


def _beyond(span):
    return "beyond the end", f"the recording ends before {span[0]:g} s", "correct the span of time"


# === The protocol ===


def answer(header, content):
    """A JSON header, and the parts."""
    data = io.BytesIO(content) if header["path"] is None else header["path"]
    medium, options, span = header["medium"], header.get("options"), header.get("span")
    if medium == "probe":
        return {"probe": probe(data)}, []
    if medium == "image":
        return {}, convert_image(data, options)
    return {}, (convert_audio if medium == "audio" else convert_video)(data, options, span)


def main():
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_LIMIT, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):
        pass
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print goes to the log
    while size := requests.read(4):
        header = json.loads(requests.read(*struct.unpack("<I", size)))
        content = requests.read(header["size"])
        try:
            reply, parts = answer(header, content)
        except Bad as error:
            reply, parts = {"bad": error.args}, []
        except MemoryError:
            what = ("too large to decode", f"it needs more than {_MEMORY_LIMIT >> 30} GiB", "replace the file")
            reply, parts = {"bad": what}, []
        except ImportError as error:
            reply, parts = {"missing": error.name}, []
        except Exception as error:  # a decoder's own: the file is at fault, and the process goes on
            what = ("cannot be decoded", f"{type(error).__name__}: {error}", "replace the file")
            reply, parts = {"bad": what}, []
        encoded = json.dumps({**reply, "sizes": [len(part) for part in parts]}).encode()
        answers.write(struct.pack("<I", len(encoded)) + encoded + b"".join(parts))
        answers.flush()


if __name__ == "__main__":
    main()
