"""What a token stands for: its place in the content."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Places(NamedTuple):
    """Where tokens lie in the content of a row.

    Attributes:
        unit: `"characters"` of the text as it was given, `"seconds"`, `"pixels"` of the prepared image, `"frames"`,
            `"columns"`, `"items"`, or `"whole"` where a token stands for all of it.
        starts, ends: arrays `(rows, tokens, axes)`: two axes, height and width, for pixels, else one; with 1 for rows
            where all rows are alike, and 1 for tokens where all tokens are. An end is behind the last one.
    """

    unit: str
    starts: np.ndarray
    ends: np.ndarray


WHOLE = Places("whole", np.zeros((1, 1, 1)), np.ones((1, 1, 1)))


def cut_evenly(unit: str, length: float, step: float, count: int, repeats: int = 1) -> Places:
    """So many tokens in a row, one every `step`; the last one reaches to the end.

    Args:
        unit: of length and step.
        length: of the content.
        step: from the start of one token to that of the next.
        count: of tokens.
        repeats: how many tokens after each other have the same place.

    Example:

    >>> cut_evenly("seconds", 1.0, 0.4, 2).ends[0, :, 0].tolist()
    [0.4, 1.0]
    """
    edges = np.minimum(np.arange(count + 1) * step, length)
    edges[-1] = length
    starts, ends = (np.repeat(part, repeats)[None, :, None] for part in (edges[:-1], edges[1:]))
    return Places(unit, starts, ends)


def cut_grid(size: Sequence[int], steps: Sequence[int], counts: Sequence[int]) -> Places:
    """The cells of a grid in pixels, row by row, which cover an image of this size once."""
    edges = [cut_evenly("pixels", *axis) for axis in zip(size, steps, counts, strict=True)]
    parts = []
    for vertical, horizontal in ((edges[0].starts, edges[1].starts), (edges[0].ends, edges[1].ends)):
        rows, columns = np.meshgrid(vertical[0, :, 0], horizontal[0, :, 0], indexing="ij")
        parts.append(np.stack([rows.ravel(), columns.ravel()], axis=1)[None].astype(int))
    return Places("pixels", *parts)
