"""Which files TensorFlow's decoders read as they are to be read; all others are converted before.

The graphs in `mmkeras.preprocessing` refuse what this refuses.
"""

import os
import struct
from typing import BinaryIO, NamedTuple

PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
PNG_EXIF_TEXT = b"Raw profile type exif"  # ImageMagick's, which is packed and in hexadecimal digits
PNG_TEXT_BYTES = 1 << 16  # where it is looked for
STREAMED = 0x7FFF0000  # a program that did not know how long its sound would be writes 0, or this and more
_JPEG_FRAMES = range(0xC0, 0xD0)
_NO_FRAMES = (0xC4, 0xC8, 0xCC)
_HUFFMAN = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive
PCM, EXTENSIBLE = 1, 0xFFFE


class WavSound(NamedTuple):
    """Where the samples of a WAV file are, in bytes, and how they are written; numbers, or tensors in the graph."""

    start: int
    size: int
    codec: int
    channels: int
    sample_rate: int
    bits: int

    @property
    def is_plain(self):
        """PCM of 16 bits."""
        return (self.codec == PCM) & (self.bits == 16) & (self.channels > 0)


def is_native_image(file: BinaryIO) -> bool:
    """Whether it is a PNG or JPEG of 8 bits a channel, in RGB or gray."""
    head = file.read(26)
    if head.startswith(PNG_START):
        return head[24:25] <= b"\x08" and PNG_EXIF_TEXT not in head + file.read(PNG_TEXT_BYTES - len(head))
    if not head.startswith(JPEG_START):
        return False
    position = 2
    while True:
        file.seek(position)
        segment = file.read(10)
        if len(segment) < 10 or segment[0] != 0xFF:
            return False
        marker = segment[1]
        if marker in _JPEG_FRAMES and marker not in _NO_FRAMES:
            return marker in _HUFFMAN and segment[4] == 8 and segment[9] in (1, 3)
        if marker == 0xFF:  # padding
            position += 1
        elif marker == 0x01 or 0xD0 <= marker < 0xD8:  # without a length
            position += 2
        else:
            position += 2 + int.from_bytes(segment[2:4], "big")


def read_wav(file: BinaryIO) -> WavSound | None:
    """The sound of a WAV file; None where its chunks do not lead to it, or it lacks bytes that it declares."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return None
    end = file.seek(0, os.SEEK_END)
    position, form = 12, None
    while position + 8 <= end:
        file.seek(position)
        name, size = struct.unpack("<4sI", file.read(8))
        start = position + 8
        if name == b"fmt ":
            form = file.read(26)
        elif name == b"data":
            size = end - start if size == 0 or size >= STREAMED else size
            if form is None or start + size > end:
                return None
            form = form.ljust(26, b"\0")
            codec, channels, rate, bits = struct.unpack_from("<HHI6xH", form)
            if codec == EXTENSIBLE:
                codec = int.from_bytes(form[24:26], "little")
            return WavSound(start, size, codec, channels, rate, bits)
        position = start + size + size % 2
    return None
