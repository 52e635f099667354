"""A file of sound or video, by PyAV: what is in it, and its frames on one clock."""

import contextlib
import io
import struct
from fractions import Fraction

from .problems import Unusable, describe, describe_unopened

SEEK_FROM = 2.0  # what lies nearer to the start than this, or to the frame before, is reached by decoding
TIME_JITTER = 0.02
RECORDING_STARTS = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"FORM", b"#!AMR", b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"0&\xb2u")
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


class Recording:
    """An open file of sound or moving images, and the one stream of it that `media_type` asks for."""

    def __init__(self, file, media_type, options=()):
        self.file, self.media_type, self.options = file, media_type, dict(options)
        self.can_seek = True
        check_size(file, media_type)
        self.open()
        if media_type != "probe" and self.stream is None:
            if self.container.format.name.endswith(("_pipe", "image2")):
                raise Unusable(f"not {media_type}", "it is an image", "name a recording, or leave the cell empty")
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
        order = "<" if head[:1] == b"R" else ">"
        (end,) = struct.unpack(f"{order}I", head[4:8].ljust(4, b"\0"))
        end = size if end == 0 or end >= 0x7FFF0000 else end + 8  # what stands behind are tags
        position = 12
        while position + 8 <= min(size, end):
            file.seek(position)
            name, length = struct.unpack(f"{order}4sI", file.read(8))
            if length >= 0x7FFF0000 or (name == b"data" and length == 0):  # stands for "unknown"
                break
            position += 8 + length
            declared = max(declared, position)
            if name == b"data":
                break
            position += length % 2
    elif head.startswith(b"0&\xb2u") and (start := head.find(ASF_PROPERTIES)) >= 0:
        (declared,) = struct.unpack_from("<Q", head.ljust(start + 48), start + 40)
    if declared > size:
        detail = f"it breaks off: it has {size:,} of the {declared:,} bytes that it declares"
        raise Unusable(f"damaged {'audio' if media_type == 'audio' else 'video'}", detail, "replace the file")


def probe(file, span, options):
    """The duration in seconds, what there is to hear and to see, and in which rates and size; 0 for none."""
    recording = Recording(file, "probe")
    types = {stream.type for stream in recording.streams}
    if not types:
        raise Unusable("no frames", "it holds neither sound nor moving images", "leave the cell empty")
    ends = recording.measure_ends()
    recording.check_complete(ends)
    duration = max(ends.values(), default=0.0)
    sound = next((stream for stream in recording.streams if stream.type == "audio"), None)
    images = next((stream for stream in recording.streams if stream.type == "video"), None)
    return {
        "probe": {
            "duration": duration,
            "has_audio": sound is not None,
            "has_video": images is not None,
            "sample_rate": sound.codec_context.sample_rate if sound else 0,
            "frame_rate": float(images.average_rate or 0) if images else 0.0,
            "height": images.codec_context.height if images else 0,
            "width": images.codec_context.width if images else 0,
        }
    }, []
