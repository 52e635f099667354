"""Media cells: where a cell's content is, and reading it in the form that the graph takes.

A cell of media is the path of a file, a path with a span of time (`talk.mp4#t=10,12.5`, in seconds, as in the W3C's
Media Fragments), or the bytes of a file. Formats that TensorFlow reads go into the graph as they are. All others are
converted first, by Pillow and FFmpeg in processes of their own (`decoders.py`).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from mmkeras.data import decoders
from mmkeras.data.decoders import MediaError
from mmkeras.data.report import Finding

MAX_BYTES = 2**28  # of a file that is read as a whole
_HEAD_BYTES = 64
_SPAN = re.compile(r"(.+)#t=(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", re.DOTALL)
_IMAGE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM")
_PCM, _BITS = 1, 16


def locate(cell: str | bytes, folder: Path) -> str | bytes:
    """A path as an absolute one, taken from `folder` where it is relative; bytes and empty cells as they are."""
    if isinstance(cell, bytes):
        return cell
    return os.path.join(folder, cell) if cell.strip() else ""


def is_inside(cell: str | bytes, folder: str) -> bool:
    """Whether a located path ends up in `folder`, a path without symbolic links, when links are followed."""
    if isinstance(cell, bytes) or not cell:
        return True
    return Path(os.path.realpath(split_span(cell)[0])).is_relative_to(folder)


def split_span(cell: str) -> tuple[str, tuple[float, float] | None]:
    """A path and its span of time in seconds; None for the whole file.

    Example:

    >>> split_span("talk.mp4#t=10,12.5")
    ('talk.mp4', (10.0, 12.5))
    """
    match = _SPAN.fullmatch(cell)
    if match is None or os.path.exists(cell):
        return cell, None
    return match[1], (float(match[2]), float(match[3]))


def is_native(cell: str | bytes, media_type: str, options: Mapping) -> bool:
    """Whether the graph decodes this located cell itself, given the preprocessor's `media_options`.

    Raises:
        OSError: when the file cannot be read.
    """
    if isinstance(cell, bytes):
        head, size = cell[:_HEAD_BYTES], len(cell)
    else:
        path, span = split_span(cell)
        if span is not None:
            return False
        with open(path, "rb") as file:
            head, size = file.read(_HEAD_BYTES), os.path.getsize(path)
    if media_type == "image":
        return head.startswith(_IMAGE_STARTS)
    if media_type == "audio":
        by_extra = options["decoder"] == "tensorflow-io" and is_tensorflow_io_sound(head)
        return by_extra or _is_plain_wav(head, size, options["sample_rate"])
    return False


def is_tensorflow_io_sound(head: bytes) -> bool:
    """Whether a file that begins so is FLAC, MP3 or Ogg Vorbis, which tensorflow-io decodes."""
    return head.startswith((b"fLaC", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")) or (
        head.startswith(b"OggS") and head[28:35] == b"\x01vorbis"
    )


def guess_media_type(head: bytes) -> str | None:
    """`"image"`, `"audio"` or `"video"` by how a file begins; None where that does not tell.

    Example:

    >>> guess_media_type(b"fLaC"), guess_media_type(b"hello")
    ('audio', None)
    """
    form = head[8:12]
    if head.startswith((*_IMAGE_STARTS, b"II*\0", b"MM\0*")) or (head[:4] == b"RIFF" and form == b"WEBP"):
        return "image"
    if head[4:8] == b"ftyp":
        return "image" if form in (b"heic", b"heix", b"mif1", b"avif") else "audio" if form == b"M4A " else "video"
    if head.startswith((b"\x1aE\xdf\xa3", b"\0\0\1\xba", b"\0\0\1\xb3")) or (head[:4] == b"RIFF" and form == b"AVI "):
        return "video"
    if (
        is_tensorflow_io_sound(head)
        or head.startswith((b"OggS", b"#!AMR"))
        or (head[:4] == b"RIFF" and form == b"WAVE")
    ):
        return "audio"
    return None


def _is_plain_wav(head, size, sample_rate):
    """PCM of 16 bits at this rate, its parts in the usual order and as long as they say."""
    number = lambda start, count: int.from_bytes(head[start : start + count], "little")  # noqa: E731
    return (
        (head[:4], head[8:16], head[36:40]) == (b"RIFF", b"WAVEfmt ", b"data")
        and (number(16, 4), number(20, 2), number(34, 2)) == (16, _PCM, _BITS)
        and number(24, 4) == sample_rate
        and number(40, 4) <= size - 44
    )


def load(cell: str | bytes, media_type: str, options: Mapping) -> bytes | list[bytes]:
    """The content of a located cell as the raw signature takes it: an image file, a WAV file, or frames as JPEG files.

    Args:
        cell: a path, or the bytes of a file.
        media_type: `"image"`, `"audio"` or `"video"`.
        options: the preprocessor's `media_options`.

    Raises:
        MediaError: holds a `Finding` with what is wrong.
    """
    if not isinstance(cell, bytes) and (finding := _find_file_problem(split_span(cell)[0], media_type)):
        raise MediaError(finding)
    try:
        if is_native(cell, media_type, options):
            return cell if isinstance(cell, bytes) else Path(cell).read_bytes()
    except OSError as error:
        raise MediaError(
            Finding("unreadable file", error.strerror or str(error), "see to it that this user may read it", True)
        ) from None
    if isinstance(cell, bytes):
        return decoders.convert(media_type, cell, None, options)
    return decoders.convert(media_type, *split_span(cell), options)


def _find_file_problem(path, media_type):
    if os.path.isdir(path):
        return Finding("not a file", "it is a folder", "name a file in it", True)
    if os.path.islink(path) and not os.path.exists(path):
        return Finding("broken link", "this symbolic link leads to no file", "mend or remove the link", True)
    if not os.path.exists(path):
        return Finding(
            "file not found", f"no file at {path}", "correct the path; it is relative to the table's folder", True
        )
    if not os.path.isfile(path):
        return Finding("not a file", "it is a device, a pipe or a socket", "name a file", True)
    size = os.path.getsize(path)
    if size == 0:
        return Finding("empty file", "it has 0 bytes", "replace the file, or leave the cell empty", True)
    if size > MAX_BYTES and media_type == "image":
        return Finding(
            "file too large",
            f"it has {size / 2**20:,.0f} MiB, more than the {MAX_BYTES >> 20} allowed",
            "shrink it",
            True,
        )
    return None
