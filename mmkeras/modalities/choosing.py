"""For `mk.fit`: how files are read, by what some of them hold and by the time there is."""

import math
from collections.abc import Sequence
from io import BytesIO

import numpy as np
import PIL.Image

from mmkeras.data import MediaError, Source, decoders, media
from mmkeras.data.native import read_wav

_LOOKED_AT, _SEEN = 40, 6  # files of which the header is read, and of which the pixels are
_SIDES = (32, 48, 64, 96, 128)
_LONGEST = 10.0  # seconds
_FRAMES = (8, 100)
_SAMPLE_RATE = 16_000
# Seconds that a pixel of a row takes the default encoders on two cores; and which share of the time that may be.
_IMAGE_PIXEL, _VIDEO_PIXEL, _SHARE = 4e-7, 1.5e-7, 0.15


def choose_image(source: Source, column: str, rows: int, seconds: float) -> tuple[dict, str]:
    """Arguments of `mk.Image`, and why.

    Args:
        source: the rows.
        column: of images.
        rows: how many are trained on, all epochs together.
        seconds: the time there is.
    """
    images = [image for cell in _sample(source, column) if (image := _open(cell)) is not None]
    if not images:
        return {}, ""
    longest = int(np.median([max(image.size) for image in images]))
    affordable = math.sqrt(_SHARE * seconds / (rows * _IMAGE_PIXEL))
    size = _choose_side(longest, affordable)
    is_gray = all(map(_is_gray, images[:_SEEN]))
    why = f"images are {longest} pixels wide or high, and {size} are what can be learned in the time"
    why = f"images are {longest} pixels wide or high" if size >= longest else why
    return {"size": size, **_tell_gray(is_gray)}, why + (", without color" if is_gray else "")


def probe_some(source: Source, column: str) -> list[dict]:
    """What some of the recordings of a column hold, as `mmkeras.data.decoders.probe` says."""
    return [fact for cell in _sample(source, column) if (fact := _probe(cell)) is not None]


def choose_audio(facts: Sequence[dict]) -> tuple[dict, str]:
    """Arguments of `mk.Audio`, and why; none where no file has sound."""
    facts = [fact for fact in facts if fact["has_audio"]]
    if not facts:
        return {}, "none of the files that were looked at has sound"
    seconds = _find_length(facts)
    rate = min(_SAMPLE_RATE, int(np.median([fact["sample_rate"] for fact in facts])))
    return {"seconds": seconds, "sample_rate": rate}, f"recordings last up to {seconds:g} s, at {rate:,} Hz"


def choose_video(source: Source, column: str, facts: Sequence[dict], rows: int, seconds: float) -> tuple[dict, str]:
    """Arguments of `mk.Video`, and why. See `choose_image`."""
    facts = [fact for fact in facts if fact["has_video"]]
    if not facts:
        return {}, "none of the files that were looked at has images"
    length, rate = _find_length(facts), float(np.median([fact["frame_rate"] for fact in facts])) or 25.0
    longest = int(np.median([max(fact["height"], fact["width"]) for fact in facts]))
    fewest, most = _FRAMES
    pixels = _SHARE * seconds / (rows * _VIDEO_PIXEL)
    size = _choose_side(longest, math.sqrt(pixels / fewest))
    there = math.ceil(length * rate - 1e-6)
    frames = int(np.clip(pixels / size**2, fewest, min(most, there)))
    spread = {} if frames < there else {"rate": round(rate, 3)}
    is_gray = _are_frames_gray(source, column)
    why = f"clips last up to {length:g} s at {rate:g} frames a second, {longest} pixels wide or high"
    return {"frames": frames, "size": size, **spread, **_tell_gray(is_gray)}, why


def have_sound(facts: Sequence[dict]) -> bool:
    """Whether most of the videos have sound."""
    return sum(fact["has_audio"] for fact in facts) > len(facts) / 2


def make_thumbnail(cell: str | bytes, size: int) -> bytes | None:
    """A small PNG file of an image; None where the cell is empty or no image."""
    image = _open(cell) if len(cell) else None
    if image is None:
        return None
    image = image.convert("RGB")
    image.thumbnail((size, size))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _choose_side(longest, affordable):
    if longest <= _SIDES[0]:
        return longest
    return max((side for side in _SIDES if side <= min(longest, affordable)), default=_SIDES[0])


def _find_length(facts):
    """Seconds that hold 95 of 100 recordings whole, in tenths."""
    seconds = float(np.quantile([fact["duration"] for fact in facts], 0.95))
    return min(_LONGEST, max(0.5, math.ceil(10 * seconds - 1e-3) / 10))


def _tell_gray(is_gray):
    return {"grayscale": True} if is_gray else {}


def _sample(source, column) -> Sequence[str | bytes]:
    """Some of the cells, evenly spaced, of those that may be opened."""
    cells = list(dict.fromkeys(cell for cell in source.files(column) if len(cell)))
    chosen = [
        cells[index] for index in np.unique(np.linspace(0, len(cells) - 1, min(len(cells), _LOOKED_AT), dtype=int))
    ]
    outside = source.find_outside(chosen)
    return [cell for cell in chosen if cell not in outside]


def _open(cell):
    """An image that says its size; None where it does not."""
    try:
        content = media.load(cell, "image", {"max_pixels": 2**25})
        return PIL.Image.open(BytesIO(content))
    except (MediaError, OSError, PIL.Image.DecompressionBombError):
        return None


def _is_gray(image):
    try:
        pixels = np.asarray(image.convert("RGB"), int)
    except OSError:
        return False
    return bool(np.ptp(pixels, axis=-1).max() <= 2)


def _are_frames_gray(source, column):
    options = {"frames": 2, "rate": None, "shorter_side": 64, "max_pixels": 2**25}
    frames = []
    for cell in _sample(source, column)[:_SEEN]:
        try:
            frames += media.load(cell, "video", options)
        except MediaError:
            continue
    # JPEG keeps gray within a few steps.
    return bool(frames) and all(
        np.ptp(np.asarray(PIL.Image.open(BytesIO(frame)).convert("RGB"), int), axis=-1).max() <= 8 for frame in frames
    )


def _probe(cell):
    path, span = (cell, None) if isinstance(cell, bytes) else media.split_span(cell)
    try:
        facts = _probe_wav(path) or decoders.probe(path)
    except (MediaError, OSError):
        return None
    if span is not None:
        facts = {**facts, "duration": max(0.0, min(facts["duration"], span[1]) - span[0])}
    return facts


def _probe_wav(path):
    """The same of a plain WAV file, for which nothing has to be installed; None for others."""
    with BytesIO(path) if isinstance(path, bytes) else open(path, "rb") as file:
        sound = read_wav(file)
    if sound is None or not sound.is_plain:
        return None
    duration = sound.size / (2 * sound.channels * sound.sample_rate)
    return {"duration": duration, "has_audio": True, "has_video": False, "sample_rate": sound.sample_rate}
