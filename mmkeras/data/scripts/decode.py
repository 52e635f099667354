"""Decodes media files in a process of its own, one request after the other, until its input ends.

A message is two big-endian lengths (4 and 8 bytes), a JSON header, and a payload. A request's header holds `media_type`
("image", "audio", "video" or "probe"), `path` (else the payload is the file), `span`, `options` and `time_limit`.
The answer's header holds one of `sizes` (of the parts that the payload consists of), `probe`, `finding` (kind, detail,
remedy) or `missing` (a package); `last` says that the process ends with it.

Times are seconds on one clock for all streams of a file: 0 is where the first of them starts.
"""

import contextlib
import io
import json
import math
import os
import signal
import struct
import sys
from fractions import Fraction

MEMORY_LIMIT = 4 << 30
LOG_LIMIT = 1 << 20
AUDIO_LIMIT = 256 << 20  # bytes of an answer: 2.3 hours at 16 kHz
SEEK_FROM = 2.0  # what lies nearer to the start than this, or to the frame before, is reached by decoding
SEEK_AFTER = 10.0
PREROLL = 1.0  # decoders of sound need some packets before the first that counts
SAME_TIME = 0.002  # Matroska rounds times to milliseconds
TIME_JITTER = 0.02
IMAGE_STARTS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
RECORDING_STARTS = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM", b"#!AMR", b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"0&\xb2u")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
TRANSPOSED = {  # the EXIF orientation, and the method of Pillow that undoes it
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


class Unusable(Exception):
    """What is wrong with the file: kind, detail, remedy."""


def describe(error):
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200] or type(error).__name__


def describe_unopened(file, media_type, starts, advice):
    file.seek(0)
    head = file.read(12)
    if head.startswith(starts) or head[4:8] == b"ftyp":
        return Unusable(f"damaged {media_type}", "its header cannot be read", "replace the file")
    article = "not an image" if media_type == "image" else f"not {media_type}"
    return Unusable(article, f"it starts with {head[:8]!r}, which is no known format", f"convert the file to {advice}")


def check_pixels(media_type, width, height, options):
    allowed = options.get("max_pixels") or math.inf
    if width * height > allowed:
        size = f"it has {width * height / 1e6:.1f} megapixels, more than the {allowed / 1e6:.1f} allowed"
        remedy = f"shrink the file, or allow it by mk.{media_type.capitalize()}(max_pixels={width * height})"
        raise Unusable(f"{media_type} too large", size, remedy)


# Images


def decode_image(file, span, options):
    """The first frame, upright, in RGB, as PNG. Transparency is dropped; more than 8 bits a channel are scaled to 8."""
    from PIL import Image

    with contextlib.suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    Image.MAX_IMAGE_PIXELS = None  # `check_pixels` does it
    Image.init()
    try:
        image = Image.open(file, formats=sorted(set(Image.ID) - {"EPS"}))  # EPS would start Ghostscript
    except MemoryError:
        raise
    except Exception:
        file.seek(0)
        if file.read(12)[4:11] in (b"ftyphei", b"ftypmif") and "pillow_heif" not in sys.modules:
            raise ModuleNotFoundError(name="pillow-heif") from None
        raise describe_unopened(file, "image", IMAGE_STARTS, "PNG or JPEG") from None
    check_pixels("image", *image.size, options)
    try:
        image.load()
        method = TRANSPOSED.get(read_orientation(image))
        image = convert_to_rgb(image)
    except MemoryError:
        raise
    except Exception as error:
        raise Unusable("damaged image", describe(error), "replace the file") from None
    if method is not None:
        image = image.transpose(Image.Transpose[method])
    return {}, [encode(image, "PNG", compress_level=1)]


def encode(image, name, **options):
    buffer = io.BytesIO()
    image.info.clear()  # profiles, EXIF and texts stay behind
    image.save(buffer, name, **options)
    return buffer.getvalue()


def read_orientation(image):
    try:
        return image.getexif().get(0x0112, 1)
    except Exception:  # whatever a broken EXIF block makes Pillow raise: the image itself is sound
        return 1


def convert_to_rgb(image):
    if image.mode in ("I;16", "I;16B", "I;16L", "I;16N", "I", "F"):
        image = scale_to_bytes(image)
    if image.mode == "LAB":
        from PIL import ImageCms

        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
    if image.mode in ("RGBa", "La"):  # colors multiplied by their opacity
        image = image.convert(image.mode[:-1] + "A")
    return image.convert("RGB")


def scale_to_bytes(image):
    """Gray of 16 or 32 bits: integers as a share of 65,535, floats of 1 where none is larger, else of 255."""
    import numpy as np
    from PIL import Image

    pixels = np.nan_to_num(np.asarray(image, np.float64), posinf=0, neginf=0)
    if image.mode == "F":
        pixels = pixels * (255 if pixels.max(initial=0) <= 1 else 1)
    else:
        pixels = pixels / 257
    return Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8))


# Recordings: audio and video


class Recording:
    """An open file of sound or moving images, and the one stream of it that `media_type` asks for."""

    def __init__(self, file, media_type, options=()):
        self.file, self.media_type, self.options = file, media_type, dict(options)
        self.can_seek = True
        check_size(file, media_type)
        self.open()
        if media_type != "probe" and self.stream is None:
            if media_type == "audio":
                raise Unusable("no sound track", "the file holds no sound", "leave the cell empty")
            raise Unusable("no frames", "the file holds no moving images", "leave the cell empty")

    def open(self):
        import av

        self.file.seek(0)
        av.logging.set_level(av.logging.WARNING)
        av.logging.set_skip_repeated(False)  # or a message that the file before caused is missed
        try:
            with av.logging.Capture() as log:
                # No protocol: a playlist must not reach other files or the network.
                self.container = av.open(self.file, options={"protocol_whitelist": "none"}, metadata_errors="ignore")
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, av.error.DecoderNotFoundError):
                raise self.damaged("its codec is unknown") from None
            name = "audio" if self.media_type == "audio" else "video"
            raise describe_unopened(self.file, name, RECORDING_STARTS, "WAV" if name == "audio" else "MP4") from None
        finally:
            av.logging.set_level(None)
        self.is_fresh = True
        self.streams = [stream for stream in self.container.streams if is_playable(stream)]
        starts = [stream.start_time * stream.time_base for stream in self.streams if stream.start_time is not None]
        self.origin = min(starts, default=Fraction(0))
        duration = self.container.duration
        guessed = any("Estimating duration from bitrate" in message for _, _, message in log)
        self.declared = None if guessed or not duration or duration < 0 else duration / 1e6
        self.stream = next((stream for stream in self.streams if stream.type == self.media_type), None)
        if self.stream is not None:
            self.stream.codec_context.thread_count = 1
            self.stream.codec_context.options = self.options

    def damaged(self, detail):
        return Unusable(f"damaged {'audio' if self.media_type == 'audio' else 'video'}", detail, "replace the file")

    def frames(self, start):
        """`(time, frame)` in order, from one at or before `start` on.

        Raises:
            Unusable: at the frame where the damage is more than can pass, or at the end.
        """
        if start > SEEK_FROM and self.can_seek:
            import av

            if not self.is_fresh:
                self.open()
            with contextlib.suppress(av.FFmpegError):
                self.is_fresh = False
                self.container.seek(int((start + self.origin) / self.stream.time_base), stream=self.stream)
                frames = self._decode(None)
                first = next(frames, None)
                if first is not None and first[0] <= start:
                    yield first
                    yield from frames
                    return
            self.can_seek = False
        if not self.is_fresh:
            self.open()
        begin = self.stream.start_time
        yield from self._decode(0.0 if begin is None else float(begin * self.stream.time_base - self.origin))

    def _decode(self, position):
        """Frames with their times. `position` is that of the first one, None after a seek."""
        import av

        packets, failed, pending, sound = 0, 0, [], False
        for packet in self._demux(self.stream):
            packets += 1
            try:
                frames = packet.decode()
            except MemoryError:
                raise
            except (av.FFmpegError, ValueError):
                pending.append(bytes(packet)[:1])
                continue
            for frame in frames:
                if pending and sound:  # what fails before the first good frame is only the start of a cut
                    failed += len(pending)
                    if failed > (0 if self.media_type == "audio" else max(3, packets / 20)):
                        raise self.damaged(f"{failed} of its first {packets} packets cannot be decoded")
                pending, sound = [], True
                if frame.pts is not None and frame.time_base:
                    time = float(frame.pts * frame.time_base - self.origin)
                    # Counted samples are more exact than times that a container rounds.
                    if self.media_type == "video" or position is None or abs(time - position) > TIME_JITTER:
                        position = time
                if position is None:
                    continue
                yield position, frame
                position += frame_seconds(frame, self.stream)
        self._judge_end(position, pending, sound)

    def _demux(self, streams):
        import av

        self.is_fresh = False
        try:
            yield from self.container.demux(streams)
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError) as error:
            raise self.damaged(describe(error)) from None

    def _judge_end(self, position, pending, sound):
        """Tells a file that was cut off, which is refused, from one with tags or padding after its last frame."""
        if not sound:
            if pending:
                raise self.damaged("none of its packets can be decoded")
            return
        tolerated = self.media_type == "video" or self.container.format.name in ("mp3", "aac")
        if pending and not (tolerated and not any(start == b"\xff" for start in pending)):
            raise self.damaged("it breaks off: its last packets cannot be decoded")
        if self.container.format.name == "ogg" and is_ogg_cut(self.file):
            raise self.damaged("it breaks off in the middle of a page")
        if position is not None and self.declared and position < self.declared - tolerance(self.declared):
            self.check_complete(self.measure_ends())

    def check_complete(self, ends):
        end = max(ends.values(), default=0.0)
        if self.declared and end < self.declared - tolerance(self.declared):
            raise self.damaged(f"it breaks off: it holds {end:.1f} s of the {self.declared:.1f} s that it declares")

    def measure_ends(self):
        """When each stream ends, by its index; read from the last packets, not from what the header says."""
        import av

        self.is_fresh = False  # the other recording moves the position in the file
        for seek in (True, False):
            other = Recording(self.file, "probe")
            with other.container, contextlib.suppress(av.FFmpegError):
                if seek:
                    if not self.declared:
                        continue
                    other.container.seek(int((max(0, self.declared - 1) + other.origin) * 1_000_000))
                ends, totals = {}, {}
                for packet in other._demux(other.streams):
                    if packet.size == 0 or not packet.time_base:
                        continue
                    index = packet.stream.index
                    length = float((packet.duration or 0) * packet.time_base) or frame_seconds(None, packet.stream)
                    totals[index] = totals.get(index, 0) + length
                    time = packet.dts if packet.pts is None else packet.pts
                    if time is not None:
                        ends[index] = max(ends.get(index, 0), float(time * packet.time_base - other.origin) + length)
                if not seek:
                    return {**totals, **ends}
                if len(ends) == len(other.streams):
                    return ends
        return {}


def tolerance(seconds):
    return 0.25 + 0.02 * seconds


def frame_seconds(frame, stream):
    if stream.type == "audio":
        return frame.samples / frame.sample_rate if frame is not None else 0.0
    return float(1 / stream.average_rate) if stream.average_rate else 0.04


def is_playable(stream):
    """Not a cover image, and not of a codec that is unknown."""
    import av

    if stream.type not in ("audio", "video") or stream.codec_context is None or not stream.time_base:
        return False
    return not stream.disposition & av.stream.Disposition.attached_pic


def is_ogg_cut(file):
    """Whether the last page is not all there: nothing else tells, since no header says how long the file is."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - (1 << 17)))
    page = file.read()
    page = page[max(0, page.rfind(b"OggS")) :]
    return len(page) < 27 or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def check_size(file, media_type):
    """Refuses a RIFF, AIFF or ASF file that is smaller than it declares: FFmpeg would take it for a shorter one."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    head = file.read(4096)
    declared = 0
    if head.startswith((b"RIFF", b"FORM")):
        position = 12
        while position + 8 <= size:
            file.seek(position)
            (length,) = struct.unpack("<I" if head[:1] == b"R" else ">I", file.read(8)[4:])
            if length >= 0x7FFF0000:  # stands for "unknown"
                break
            position += 8 + length
            declared = max(declared, position)
            position += length % 2
    elif head.startswith(b"0&\xb2u") and (start := head.find(ASF_PROPERTIES)) >= 0:
        (declared,) = struct.unpack_from("<Q", head.ljust(start + 48), start + 40)
    if declared > size:
        detail = f"it breaks off: it has {size:,} of the {declared:,} bytes that it declares"
        raise Unusable(f"damaged {'audio' if media_type == 'audio' else 'video'}", detail, "replace the file")


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


def decode_video(file, span, options):
    """JPEG frames: those on show at the midpoints of equal parts of the span, or at `start + i / rate`."""
    limit = {"max_pixels": str(options["max_pixels"])} if options.get("max_pixels") else {}
    recording = Recording(file, "video", limit)
    context = recording.stream.codec_context
    check_pixels("video", context.width, context.height, options)
    ends = recording.measure_ends()
    last = ends.get(recording.stream.index, 0.0)
    start, end = span or (0.0, math.inf)
    if end > last:
        recording.check_complete(ends)
    if last and start >= last:
        raise beyond_the_end(start, recording)
    end, count, rate = min(end, last), options["frames"], options.get("rate")
    if rate is None:
        times = [start + (i + 0.5) * (end - start) / count for i in range(count)]
    else:
        times = [time for time in (start + i / rate for i in range(count)) if time < end or time == start]
    parts, encoded, shown = [], None, None
    for frame in pick_frames(recording, times):
        if frame is not shown:
            check_pixels("video", frame.width, frame.height, options)
            encoded, shown = encode_frame(frame, options.get("shorter_side")), frame
        parts.append(encoded)
    return {}, parts


def pick_frames(recording, times):
    """For each time the frame on show: the last one that is not later, or the first of all."""
    current = None
    for time in times:
        if current is None or (time - current[0] > SEEK_AFTER and recording.can_seek):
            frames = recording.frames(time)
            current, following = next(frames, None), next(frames, None)
            if current is None:
                raise Unusable("no frames", "none of its frames can be decoded", "replace the file")
        while following is not None and following[0] <= time + SAME_TIME:
            current, following = following, next(frames, None)
        yield current[1]


def encode_frame(frame, shorter_side):
    width, height = frame.width, frame.height
    shrink = min(1, (shorter_side or math.inf) / min(width, height))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    image = frame.reformat(*size, format="rgb24", interpolation="AREA").to_image()
    if frame.rotation % 360:
        image = image.rotate(frame.rotation, expand=True)
    return encode(image, "JPEG", quality=95)


def probe(file, span, options):
    """The duration in seconds, and what there is to hear and to see."""
    recording = Recording(file, "probe")
    types = {stream.type for stream in recording.streams}
    if not types:
        raise Unusable("no frames", "it holds neither sound nor moving images", "leave the cell empty")
    ends = recording.measure_ends()
    recording.check_complete(ends)
    duration = max(ends.values(), default=0.0)
    return {"probe": {"duration": duration, "has_audio": "audio" in types, "has_video": "video" in types}}, []


# The process


DECODERS = {"image": decode_image, "audio": decode_audio, "video": decode_video, "probe": probe}


def answer(request, payload):
    """Header and parts."""
    try:
        # Named by a number, not by its path: FFmpeg would take the format from the name.
        file = io.BytesIO(payload) if request["path"] is None else open(os.open(request["path"], os.O_RDONLY), "rb")
        with file:
            if file.seek(0, io.SEEK_END) == 0:
                raise Unusable("empty file", "it has 0 bytes", "replace the file, or leave the cell empty")
            file.seek(0)
            return DECODERS[request["media_type"]](file, request["span"], request["options"])
    except Unusable as problem:
        return {"finding": problem.args}, []
    except ModuleNotFoundError as error:
        return {"missing": error.name}, []
    except MemoryError:
        detail = f"it needs more than {MEMORY_LIMIT >> 30} GiB"
        return {"finding": ["too much memory", detail, "shrink the file"], "last": True}, []
    except OSError as error:
        detail = error.strerror or str(error)
        return {"finding": ["unreadable file", detail, "see to it that this user may read it"]}, []


def limit_resources():
    """No more memory than that, no core files, and no files written but a short log."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        for kind, limit in [("RLIMIT_AS", MEMORY_LIMIT), ("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", LOG_LIMIT)]:
            resource.setrlimit(getattr(resource, kind), (limit, limit))


def send(stream, header, parts=()):
    data = json.dumps({**header, "sizes": [len(part) for part in parts]}).encode()
    stream.write(struct.pack(">IQ", len(data), sum(map(len, parts))) + data)
    for part in parts:
        stream.write(part)
    stream.flush()


def main():
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints goes to the log
    limit_resources()
    send(answers, {"ready": True})
    while lengths := requests.read(12):
        header_length, payload_length = struct.unpack(">IQ", lengths)
        request = json.loads(requests.read(header_length))
        payload = requests.read(payload_length)
        signal.alarm(math.ceil(request["time_limit"]) + 5)  # in case that the parent is no more
        header, parts = answer(request, payload)
        signal.alarm(0)
        send(answers, header, parts)
        if header.get("last"):
            break


if __name__ == "__main__":
    main()
