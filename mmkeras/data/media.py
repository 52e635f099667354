"""Media cells: where a cell's content is, and reading it in the form that the graph takes.

A cell of media is the path of a file, a path with a span of time (`talk.mp4#t=10,12.5`, in seconds, as in the W3C's
Media Fragments), or the bytes of a file. Formats that TensorFlow reads go into the graph as they are. All others are
converted first, by Pillow and FFmpeg in processes of their own (`decoders.py`).
"""

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path

from mmkeras.data import decoders, native
from mmkeras.data.decoders import MediaError
from mmkeras.data.report import Finding

MAX_BYTES = 2**28  # of a file that is read as a whole
NOTHING_THERE = ("no sound track", "no frames")  # kinds of findings
_HEAD_BYTES = 64
_ADDRESS = re.compile(r"\b[a-z]{2,}[0-9]?:/+\w")  # `https://host/x.png`, also behind a folder
_SPAN = re.compile(r"(.+)#t=(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)", re.DOTALL)
_IMAGE_STARTS = (native.PNG_START, native.JPEG_START, b"GIF8", b"BM")


def is_inside(cell: str | bytes, folder: str) -> bool:
    """Whether a located path ends up in `folder`, a path without symbolic links, when links are followed."""
    if isinstance(cell, bytes) or not cell:
        return True
    try:
        return Path(os.path.realpath(split_span(cell)[0])).is_relative_to(folder)
    except ValueError:  # no path at all, which reading it will tell
        return True


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


def find_stamp(cell: str | bytes) -> tuple[int, int] | None:
    """Size and time in nanoseconds of the file of a located cell; None for bytes, and where there is no file."""
    if isinstance(cell, bytes) or not cell:
        return None
    try:
        status = os.stat(split_span(cell)[0])
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def is_native(cell: str | bytes, media_type: str, options: Mapping) -> bool:
    """Whether the graph decodes this located cell itself, given the preprocessor's `media_options`.

    Raises:
        OSError: when the file cannot be read.
    """
    if isinstance(cell, bytes):
        return _is_native_file(io.BytesIO(cell), media_type, options)
    path, span = split_span(cell)
    if span is not None:
        return False
    with open(path, "rb") as file:
        return _is_native_file(file, media_type, options)


def _is_native_file(file, media_type, options):
    if media_type == "image":
        return native.is_native_image(file)
    if media_type == "audio":
        if options["decoder"] == "tensorflow-io" and is_tensorflow_io_sound(file.read(_HEAD_BYTES)):
            return True
        file.seek(0)
        sound = native.read_wav(file)
        return sound is not None and sound.is_plain and sound.sample_rate == options["sample_rate"]
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


def load(cell: str | bytes, media_type: str, options: Mapping) -> bytes | list[bytes]:
    """The content of a located cell as the raw signature takes it: an image file, a WAV file, or frames as JPEG files.

    Args:
        cell: a path, or the bytes of a file.
        media_type: `"image"`, `"audio"` or `"video"`.
        options: the preprocessor's `media_options`.

    Returns: the content; nothing, as of an empty cell, of a recording without sound or without images.

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
    path, span = (cell, None) if isinstance(cell, bytes) else split_span(cell)
    try:
        return decoders.convert(media_type, path, span, options)
    except MediaError as error:
        if error.finding.kind in NOTHING_THERE:
            return [] if media_type == "video" else b""
        raise


def _find_file_problem(path, media_type):
    try:
        os.lstat(path)
    except FileNotFoundError:
        if _ADDRESS.search(path):
            return Finding("not a file", "it is an address in the web", "download the file, and give its path", True)
        detail, remedy = f"no file at {path}", "correct the path; it is relative to the table's folder"
        return Finding("file not found", detail, remedy, True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return Finding("not a path", f"the system does not take it: {reason}", "correct the path", True)
    if os.path.isdir(path):
        return Finding("not a file", "it is a folder", "name a file in it", True)
    if os.path.islink(path) and not os.path.exists(path):
        return Finding("broken link", "this symbolic link leads to no file", "mend or remove the link", True)
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
