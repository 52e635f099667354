"""Long recordings to rows of a few seconds."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mmkeras.data import decoders, media
from mmkeras.data.decoders import MediaError
from mmkeras.data.sources import Source


def windows(source: Source, column: str, seconds: float, step: float | None = None) -> Source:
    """One row for each span of time of the recordings in a column; all other cells are repeated.

    The cell of a span is the path with its begin and end, `talk.mp4#t=10,12`. `mk.Audio` and `mk.Video` that both read
    this column see and hear the same span. The last one ends where the recording ends, and none is shorter than
    `seconds`, unless the recording is. A file whose length cannot be found out keeps its row, and `check` names it.

    Args:
        source: the rows.
        column: of paths of sound or video files.
        seconds: length of a span.
        step: seconds from the begin of one span to that of the next; None for `seconds`, less for spans that overlap.

    Returns: a `Source`; its rows keep the numbers, in messages, of those that they come from.

    Raises:
        ValueError: when `seconds` or `step` is not greater than 0; when cells hold bytes.

    Example:

        source = mk.windows(mk.read("recordings.csv"), "file", seconds=4, step=2)
        modalities = {"sound": mk.Audio(seconds=4, column="file"), "image": mk.Video(frames=8, column="file")}
    """
    step = seconds if step is None else step
    if not seconds > 0 or not step > 0:
        raise ValueError(f"`seconds` and `step` are greater than 0. Received: seconds={seconds}, step={step}")
    source = source.as_table()
    cells = source.files(column)
    if whole := [cell for cell in cells if isinstance(cell, bytes)]:
        raise ValueError(
            f"A window is written as a path and its span of time, and {len(whole):,} cells of column '{column}' hold "
            "bytes. Write them to files first; mk.prepare does so, and its records take mk.windows."
        )
    distinct = list(dict.fromkeys(cell for cell in cells if cell and isinstance(cell, str)))
    outside = source.find_outside(distinct)
    with ThreadPoolExecutor() as pool:
        durations = dict(
            zip(distinct, pool.map(lambda c: None if c in outside else _measure(c), distinct), strict=True)
        )
    spans = [_divide(durations.get(cell), seconds, step) for cell in cells]
    rows = source.select(np.repeat(np.arange(len(cells)), [len(row_spans) for row_spans in spans]))
    original = source.table[column]
    divided = [
        cell if span is None else f"{cell}#t={_write_time(span[0])},{_write_time(span[1])}"
        for cell, row_spans in zip(original, spans, strict=True)
        for span in row_spans
    ]
    rows.table = rows.table.reset_index(drop=True).assign(**{column: divided})
    return rows


def _measure(cell):
    path, span = media.split_span(cell)
    if span is not None:
        return None
    try:
        return decoders.probe(path)["duration"]
    except MediaError:
        return None


def _write_time(seconds):
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def _divide(duration, seconds, step):
    if not duration:
        return [None]
    count = 1 + max(0, math.ceil((duration - seconds) / step - 1e-6))
    begins = [min(i * step, max(0.0, duration - seconds)) for i in range(count)]
    return [(round(begin, 3), round(min(begin + seconds, duration), 3)) for begin in begins]
