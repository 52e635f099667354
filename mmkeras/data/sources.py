"""Rows from a table: reading, checking, splitting."""

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mmkeras.data import media, tables
from mmkeras.data.cells import FILE, LIST, TEXT, Cells, to_plain
from mmkeras.data.names import suggest
from mmkeras.data.report import Finding, Problem


class Source:
    """Rows of raw cells: text, or paths to media relative to `folder`, or their bytes. Made by `mk.read`.

    Attributes:
        table: the rows, a pandas DataFrame of what was read.
        target: name of the column with the labels, or None.
        folder: what relative paths start from.
        name: how messages call this source.
        allow_outside: whether cells may name files outside of `folder`.
        row_numbers: of the rows in what was read, from 1.
        checked_cells: what checks found in cells, by preprocessor; shared with all sources that are made of this one.
    """

    def __init__(
        self,
        table: pd.DataFrame,
        target: str | None,
        folder: Path,
        name: str,
        allow_outside: bool = False,
        row_numbers=None,
    ):
        self.table = table
        self.target = target
        self.folder = folder
        self.name = name
        self.allow_outside = allow_outside
        self.row_numbers = np.arange(1, len(table) + 1) if row_numbers is None else row_numbers
        self.checked_cells = {}
        if target is not None:
            self.target = str(target)
            self._require_column(self.target, "target")

    def __len__(self):
        return len(self.table)

    def __repr__(self):
        return f"<Source {self.name}: {len(self):,} rows of {list(self.table.columns)}, target={self.target!r}>"

    def _require_column(self, column, purpose):
        if column in self.table.columns:
            return
        names = [str(name) for name in self.table.columns]
        raise ValueError(
            f"{self.name} has no column '{column}', which was asked for as {purpose}.{suggest(column, names)} "
            f"Its columns: {names}"
        )

    def read_cells(self, column: str, kind: Cells) -> list:
        """The cells of a column, as those of a kind."""
        self._require_column(column, "an input")
        return kind.convert(self.table[column], self.folder)

    def texts(self, column: str) -> list[str]:
        """The cells of a column as text, `""` where there is nothing."""
        return self.read_cells(column, TEXT)

    def lists(self, column: str) -> list[tuple[str, ...]]:
        """The cells of a column of lists: lists, text that is a JSON list, or text with spaces between the items."""
        return self.read_cells(column, LIST)

    def files(self, column: str) -> list[str | bytes]:
        """The cells of a column of media: an absolute path, the content as bytes, or `""` where there is nothing."""
        return self.read_cells(column, FILE)

    def values(self, columns: Sequence[str]) -> list:
        """The cells as they were read: of one column, or a tuple for each row of several."""
        for column in columns:
            self._require_column(column, "a column")
        values = [list(map(to_plain, self.table[column])) for column in columns]
        return values[0] if len(values) == 1 else list(zip(*values, strict=True))

    def select(self, indices: Sequence[int]) -> "Source":
        """The rows at these positions, which keep their numbers in messages."""
        indices = np.asarray(indices, int)
        return self._with(table=self.table.iloc[indices], row_numbers=self.row_numbers[indices])

    def _with(self, **changes):
        """A source like this one, with other values of some attributes."""
        other = copy.copy(self)
        vars(other).update(changes)
        return other

    def with_columns(self, columns: Sequence[str]) -> "Source":
        """The same rows with these columns only; one that is not there is empty."""
        return self._with(table=self.table.reindex(columns=list(columns)), target=None)

    def without(self, indices: Iterable[int]) -> "Source":
        """All rows but those at these indices, as `Report.rejected` holds them: from 0."""
        return self.select(np.setdiff1d(np.arange(len(self)), list(indices)))

    @property
    def is_prepared(self) -> bool:
        """Whether files were decoded before, as in `mk.Records`."""
        return False

    def as_table(self) -> "Source":
        """The rows as cells alone, without what was prepared of them."""
        return self

    def with_numbers(self, names: Sequence[str], values: np.ndarray) -> "Source":
        """The same rows with more columns, `values` of shape `(rows, names)`; NaN is a missing cell."""
        added = pd.DataFrame(values, columns=list(names), index=self.table.index)
        return self._with(table=pd.concat([self.table, added], axis=1))

    def split(
        self, *, test_size: float, by: str | Sequence | None = None, stratify: str | None = None, seed: int = 0
    ) -> tuple["Source", "Source"]:
        """Two parts of the rows at random: the first, and the one with the share `test_size` of them.

        Args:
            test_size: share of the second part, between 0 and 1.
            by: a column, or a value for each row; rows with the same go to the same part (several questions on one
                image).
            stratify: a column, such as that of the labels; both parts have about the same share of each of its values,
                and the first part has a value of which there is one row.
            seed: the same seed gives the same parts.

        Raises:
            ValueError: for a share that is none; for columns that are not there; for `by` and `stratify` together.

        Example:

        >>> source = mk.read([{"a": str(i)} for i in range(10)])
        >>> [len(part) for part in source.split(test_size=0.3)]
        [7, 3]
        """
        if not 0 < test_size < 1:
            raise ValueError(f"`test_size` lies between 0 and 1. Received: test_size={test_size}")
        if by is not None and stratify is not None:
            raise ValueError("Rows are split `by` groups, or with `stratify`: give one of them.")
        groups, strata = np.arange(len(self)), np.zeros(len(self), int)
        if by is not None:
            if isinstance(by, str):
                self._require_column(by, "`by`")
                by = self.texts(by)
            groups = pd.factorize(pd.Series(list(by), dtype=object))[0]
            if len(groups) != len(self):
                raise ValueError(
                    f"`by` has a value for each of the {len(self):,} rows. Received: {len(groups):,} values"
                )
        if stratify is not None:
            self._require_column(stratify, "`stratify`")
            strata = pd.factorize(pd.Series(self.texts(stratify)))[0]
        order = np.random.default_rng(seed).permutation(groups.max() + 1)
        second = np.zeros(len(self), bool)
        for stratum in range(strata.max() + 1):
            chosen = order if stratify is None else order[strata[order] == stratum]
            count = max(1, round(test_size * len(chosen)))
            if stratify is not None:
                count = min(count, len(chosen) - 1)  # what is there once is learned from
            second |= np.isin(groups, chosen[:count])
        return self.select(np.flatnonzero(~second)), self.select(np.flatnonzero(second))

    def find_outside(self, cells: Sequence[str | bytes]) -> dict[str | bytes, Finding]:
        """Those of these located cells that lead out of the folder, unless they may."""
        if self.allow_outside:
            return {}
        finding = Finding(
            "outside of the data's folder",
            f"it leads out of {self.folder}",
            "move the file there, or trust the table: mk.read(..., allow_outside=True)",
            True,
        )
        folder = os.path.realpath(self.folder)
        return {cell: finding for cell in cells if not media.is_inside(cell, folder)}

    def describe_problem(self, index: int, column: str, cell, finding: Finding) -> Problem:
        """What was found wrong with the cell of the row at this index, with where it is."""
        shown = f"{len(cell)} bytes" if isinstance(cell, bytes) else str(cell)
        if isinstance(cell, tuple):
            shown = " ".join(map(str, cell))
        if isinstance(cell, str) and Path(cell).is_relative_to(self.folder):
            shown = str(Path(cell).relative_to(self.folder))
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        kind, detail, remedy, rejected, _ = finding
        shown, detail = (text.encode("utf-8", "backslashreplace").decode() for text in (shown, detail))  # to be printed
        return Problem(
            self.name, int(self.row_numbers[index]), int(index), column, shown, kind, detail, remedy, rejected
        )


def read(
    data,
    target: str | None = None,
    folder: str | Path | None = None,
    allow_outside: bool = False,
    encoding: str | None = None,
    sep: str | None = None,
    decimal: str = ".",
) -> Source:
    """Reads rows from a table, from a folder tree with one folder a class, a pandas DataFrame or a list of dicts.

    Args:
        data: path of a table with a header (`.csv`, `.tsv`, `.jsonl`, `.ndjson`, `.parquet`), of a folder, a DataFrame,
            or a list of dicts. Cells hold text, numbers, lists, paths of media, or their bytes; empty cells are missing
            values. A path may name a span of time in seconds: `talk.mp4#t=10,12.5`. A folder gives the columns `file`
            and `label`, the name of the folder that a file is in.
        target: the column with the labels; None for rows without, and for `label` where `data` is a folder.
        folder: what relative paths in cells start from; by default the folder of the table, else the current one.
        allow_outside: whether cells of a table may name files outside of `folder`. Rows that your program made may.
        encoding: of a table of text; None for UTF-8, or UTF-16 where it is marked as such.
        sep: between the cells of a CSV file, such as `";"`; None for a comma.
        decimal: what stands before the decimals of numbers in a CSV file: `","` reads 1,5 as 1.5.

    Returns: a `Source`.

    Raises:
        FileNotFoundError, ValueError, TypeError, ImportError: say which file, line or column is at fault.

    Example:

    >>> mk.read([{"text": "good", "label": "yes"}], target="label")
    <Source rows: 1 rows of ['text', 'label'], target='label'>
    """
    if isinstance(data, str | Path):
        path = Path(data)
        if path.is_dir():
            return Source(
                tables.read_class_folders(path), target or tables.LABEL, path.absolute(), path.name, allow_outside
            )
        table = tables.name_columns(tables.read_table(path, encoding, sep, decimal), str(path))
        return Source(table, target, Path(folder or path.parent).absolute(), path.name, allow_outside)
    folder = Path(folder or ".").absolute()
    if isinstance(data, pd.DataFrame):
        table = tables.name_columns(data.reset_index(drop=True), "The DataFrame")
        return Source(table, target, folder, "DataFrame", allow_outside=True)
    if isinstance(data, Iterable) and not isinstance(data, Mapping):
        rows = list(data)
        if not rows or not all(isinstance(row, Mapping) for row in rows):
            raise ValueError(f"A list of rows holds at least one dict, and nothing else. Received: {rows[:2]!r}")
        table = tables.name_columns(pd.DataFrame(rows, dtype=object), "A row")
        return Source(table, target, folder, "rows", allow_outside=True)
    raise TypeError(
        f"`mk.read` takes a path of a table or folder, a DataFrame or a list of dicts. Received: {type(data).__name__}"
    )
