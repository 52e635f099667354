"""Which rows belong together, and which are set apart to choose among models."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mmkeras.data import Proposal, Source, media
from mmkeras.modalities import Modality

_SOMEBODY = re.compile(
    r"(user|speaker|patient|subject|customer|client|person|author|session|visitor|student|group)"
    r"([ _-]?(id|no|nr|name|number|code))?",
    re.IGNORECASE,
)
_FEWEST_GROUPS = 5
_LARGEST_SHARE = 0.5  # of the rows in one group
_FEWEST_ROWS, _SHARES = 1000, (0.1, 0.2)  # of the part that is set apart, where there are enough rows


def find_groups(source: Source, proposals: Sequence[Proposal], group: str | None) -> tuple[np.ndarray | None, str]:
    """For each row the number of its group, and why; None where every row stands for itself.

    Rows belong together where they have the same file, or two parts of one recording, or the same user, speaker or
    patient by the name of a column; also by way of a third row.
    """
    if group is not None:
        return _number(source.texts(group)), f"as was asked for: no '{group}' is in both parts"
    codes, named = [], []
    for proposal in proposals:
        column = proposal.column
        modality = Modality.kinds.get(proposal.kind)
        if modality is not None and modality.preprocessor_class.media_type:
            cells = [media.split_span(cell)[0] if isinstance(cell, str) else cell for cell in source.files(column)]
        elif _SOMEBODY.fullmatch(column):
            cells = [cell.strip() for cell in source.texts(column)]
        else:
            continue
        numbers = _number(cells)
        if _FEWEST_GROUPS <= numbers.max() + 1 < len(numbers):
            codes.append(numbers)
            named.append(column)
    if not codes:
        return None, ""
    joined = _join(codes)
    largest = np.bincount(joined).max() / len(joined)
    if largest > _LARGEST_SHARE:
        return None, f"cells of {_list(named)} come back, and tie {largest:.0%} of the rows together"
    return joined, f"cells of {_list(named)} come back, and none is in both parts"


def cut(source: Source, groups: np.ndarray | None, stratify: str | None, seed: int) -> tuple[Source, Source]:
    """Rows to train on, and rows to choose among models by: of each value of a column alike, or without a group in both
    parts.
    """
    low, high = _SHARES
    share = float(np.clip(_FEWEST_ROWS / len(source), low, high))
    return source.split(test_size=share, by=groups, stratify=stratify, seed=seed)


def _number(cells):
    """Numbers of equal cells; an empty one is a group of its own."""
    alone = (("", index) if not cell else cell for index, cell in enumerate(cells))
    return pd.factorize(pd.Series(list(alone), dtype=object))[0]


def _join(codes):
    """The groups of rows that share a number in any of these columns, directly or by way of others."""
    parents = list(range(len(codes[0])))

    def find(row):
        while parents[row] != row:
            parents[row] = parents[parents[row]]
            row = parents[row]
        return row

    for numbers in codes:
        first = {}
        for row, number in enumerate(numbers):
            parents[find(row)] = find(first.setdefault(number, row))
    return pd.factorize(np.array([find(row) for row in range(len(parents))]))[0]


def _list(columns):
    return ", ".join(f"'{column}'" for column in columns)
