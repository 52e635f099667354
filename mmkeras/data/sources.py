"""Rows from a table: reading, checking, splitting."""

import copy
import difflib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from mmkeras.data import media, tables
from mmkeras.data.decoders import MediaError
from mmkeras.data.report import Finding, Problem, Report

_CELLS_A_CHUNK = 256


class Source:
    """Rows of raw cells: text, or paths to media relative to `folder`, or their bytes. Made by `mk.read`.

    Attributes:
        table: the rows, a pandas DataFrame of what was read.
        target: name of the column with the labels, or None.
        folder: what relative paths start from.
        name: how messages call this source.
        allow_outside: whether cells may name files outside of `folder`.
        row_numbers: of the rows in what was read, from 1.
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
        self._checked = {}
        if target is not None:
            self._require_column(target, "target")

    def __len__(self):
        return len(self.table)

    def __repr__(self):
        return f"<Source {self.name}: {len(self):,} rows of {list(self.table.columns)}, target={self.target!r}>"

    def _require_column(self, column, purpose):
        if column in self.table.columns:
            return
        names = [str(name) for name in self.table.columns]
        near = difflib.get_close_matches(str(column), names, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ValueError(
            f"{self.name} has no column '{column}', which was asked for as {purpose}.{hint} Its columns: {names}"
        )

    def texts(self, column: str) -> list[str]:
        """The cells of a column as text, `""` where there is nothing."""
        self._require_column(column, "a column of text")
        return [
            cell if isinstance(cell, str) else "" if _is_nothing(cell) else str(cell) for cell in self.table[column]
        ]

    def lists(self, column: str) -> list[tuple[str, ...]]:
        """The cells of a column of lists: lists, text that is a JSON list, or text with spaces between the items."""
        self._require_column(column, "a column of lists")
        return [_to_list(cell) for cell in self.table[column]]

    def files(self, column: str) -> list[str | bytes]:
        """The cells of a column of media: an absolute path, the content as bytes, or `""` where there is nothing."""
        self._require_column(column, "a column of files")
        return [media.locate(self._media_cell(column, i), self.folder) for i in range(len(self))]

    def _media_cell(self, column, index):
        cell = self.table[column].iloc[index]
        if isinstance(cell, str | bytes):
            return cell
        if isinstance(cell, Path):
            return str(cell)
        if _is_nothing(cell):
            return ""
        raise TypeError(
            f"{self.name}, row {self.row_numbers[index]}, column '{column}': a cell of media holds a path (text) "
            f"or the content (bytes). Received: {cell!r} of type {type(cell).__name__}"
        )

    def cells(self, columns: Sequence[str], preprocessor) -> list:
        """The cells of a modality in the form that `preprocessor` takes: text, the path or the bytes of a file, a tuple
        of items, or, where it reads several columns, a tuple of these.
        """
        if preprocessor.media_type:
            read_column = self.files
        elif None in preprocessor.raw_shape:
            read_column = self.lists
        else:
            read_column = self.texts
        cells = [read_column(column) for column in columns]
        return list(zip(*cells, strict=True)) if preprocessor.parts else cells[0]

    def labels(self) -> list[str]:
        """The cells of the target column as text."""
        if self.target is None:
            raise ValueError(f"{self.name} was read without a target: `mk.read(..., target='<column>')` names it.")
        return self.texts(self.target)

    def select(self, indices: Sequence[int]) -> "Source":
        """The rows at these positions, which keep their numbers in messages."""
        indices = np.asarray(indices, int)
        return self._with(table=self.table.iloc[indices], row_numbers=self.row_numbers[indices])

    def _with(self, **changes):
        """A source like this one, with other values of some attributes."""
        other = copy.copy(self)
        vars(other).update(changes, _checked={})
        return other

    def with_columns(self, columns: Sequence[str]) -> "Source":
        """The same rows with these columns only; one that is not there is empty."""
        return self._with(table=self.table.reindex(columns=list(columns)), target=None)

    def without(self, rows: Iterable[int]) -> "Source":
        """All rows but those of these numbers, as a `Report` counts them: from 1."""
        return self.select(np.flatnonzero(~np.isin(self.row_numbers, list(rows))))

    def with_numbers(self, names: Sequence[str], values: np.ndarray) -> "Source":
        """The same rows with more columns, `values` of shape `(rows, names)`; NaN is a missing cell."""
        added = pd.DataFrame(values, columns=list(names), index=self.table.index)
        return self._with(table=pd.concat([self.table, added], axis=1))

    def without_target(self) -> "Source":
        """The same rows, without labels."""
        return self._with(target=None)

    def split(self, fraction: float, by: str | None = None, seed: int = 0) -> tuple["Source", "Source"]:
        """Two parts of the rows at random: the larger, and the one with `fraction` of them.

        Args:
            fraction: share of the second part, between 0 and 1.
            by: a column; rows with the same cell in it go to the same part (several questions on one image).
            seed: the same seed gives the same parts.

        Example:

        >>> source = mk.read([{"a": str(i)} for i in range(10)])
        >>> [len(part) for part in source.split(0.3)]
        [7, 3]
        """
        if not 0 < fraction < 1:
            raise ValueError(f"`fraction` lies between 0 and 1. Received: fraction={fraction}")
        if by is None:
            groups = np.arange(len(self))
        else:
            self._require_column(by, "`by`")
            groups = pd.factorize(self.table[by])[0]
        order = np.random.default_rng(seed).permutation(groups.max() + 1)
        second = np.isin(groups, order[: max(1, round(fraction * len(order)))])
        return self.select(np.flatnonzero(~second)), self.select(np.flatnonzero(second))

    def check(self, modalities: Mapping, classes: Sequence[str] | None = None) -> Report:
        """Reads and decodes every cell, and names each one with something wrong.

        Args:
            modalities: dict from input name to modality, as for a task.
            classes: the labels that a model knows; None to accept every label that is not empty.

        Returns: a `Report`.

        Example:

        >>> source = mk.read([{"image": "nowhere.png"}, {"image": ""}])
        >>> report = source.check({"image": mk.Image()})
        >>> report.missing, report.rejected, report.problems[0].kind
        ({'image': 1}, {1}, 'file not found')
        """
        missing, problems = {}, []
        for name, modality in modalities.items():
            columns = modality.source_columns(name)
            cells = self.cells(columns, modality.preprocessor)
            for column, part in zip(
                columns, zip(*cells, strict=True) if modality.preprocessor.parts else [cells], strict=True
            ):
                missing[column] = sum(is_empty(cell) for cell in part)
            problems += self._check_cells(columns, cells, modality.preprocessor)
        if self.target is not None:
            problems += self._check_labels(classes)
        problems.sort(key=lambda problem: problem.row)
        return Report(self.name, len(self), missing, problems)

    def _check_cells(self, columns, cells, preprocessor):
        key = (*columns, json.dumps(preprocessor.get_config()))
        if key not in self._checked:  # reading every file is worth doing once
            distinct = sorted({cell for cell in cells if not is_empty(cell)}, key=repr)
            outside = {cell: [f] for cell, f in self.find_outside(distinct).items()} if preprocessor.media_type else {}
            found = outside | _check_distinct(
                [cell for cell in distinct if cell not in outside], preprocessor, columns[0]
            )
            self._checked[key] = [
                self.describe_problem(
                    row, columns[finding.part], cell[finding.part] if preprocessor.parts else cell, finding
                )
                for row, cell in zip(self.row_numbers, cells, strict=True)
                for finding in found.get(cell, [])
            ]
        return self._checked[key]

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

    def _check_labels(self, classes):
        known = None if classes is None else set(classes)
        problems = []
        for row, label in zip(self.row_numbers, self.labels(), strict=True):
            if not label:
                found = Finding("no label", "the cell is empty", "label the row", True)
            elif known is not None and label not in known:
                near = difflib.get_close_matches(label, classes, n=1)
                remedy = f"correct it to '{near[0]}'" if near else "correct it, or train on rows that have it"
                detail = f"the model knows {len(classes)} labels, and not this one"
                found = Finding("unknown label", detail, remedy, True)
            else:
                continue
            problems.append(self.describe_problem(row, self.target, label, found))
        return problems

    def describe_problem(self, row: int, column: str, cell, finding: Finding) -> Problem:
        """What was found wrong with one cell, with where it is."""
        shown = f"{len(cell)} bytes" if isinstance(cell, bytes) else " ".join(cell) if isinstance(cell, tuple) else cell
        if isinstance(cell, str) and Path(cell).is_relative_to(self.folder):
            shown = str(Path(cell).relative_to(self.folder))
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        kind, detail, remedy, rejected, _ = finding
        return Problem(self.name, int(row), column, shown, kind, detail, remedy, rejected)


def is_empty(cell) -> bool:
    """Whether a cell, as `Source.cells` gives it, holds nothing: its modality is missing in this row."""
    return all(is_empty(part) for part in cell) if isinstance(cell, tuple) else not cell.strip()


def _is_nothing(cell):
    return cell is None or (isinstance(cell, float) and np.isnan(cell)) or cell is pd.NA or cell is pd.NaT


def _to_list(cell):
    if isinstance(cell, str):
        cell = _parse_list(cell.strip())
    elif not isinstance(cell, list | tuple | np.ndarray):
        cell = [] if _is_nothing(cell) else [cell]
    return tuple(str(item) for item in cell if not _is_nothing(item))


def _parse_list(text):
    if not (text.startswith("[") and text.endswith("]")):
        return text.split()
    for candidate in (text, text.replace("'", '"')):  # pandas writes lists with single quotes
        try:
            return json.loads(candidate)
        except json.JSONDecodeError:
            continue
    return [item.strip() for item in text[1:-1].split(",")]


def _check_distinct(cells, preprocessor, column) -> dict:
    """The findings by cell, with a progress bar where files are read."""
    chunks = [cells[i : i + _CELLS_A_CHUNK] for i in range(0, len(cells), _CELLS_A_CHUNK)]
    progress = keras.utils.Progbar(
        len(cells), unit_name="cell", verbose=int(len(chunks) > 4 and preprocessor.media_type is not None)
    )
    if progress.verbose:
        print(f"Checking the files of column '{column}'")
    found = {}
    with ThreadPoolExecutor() as pool:
        results = pool.map(lambda chunk: _check_chunk(chunk, preprocessor), chunks)
        for chunk, findings in zip(chunks, results, strict=True):
            found.update({cell: f for cell, f in zip(chunk, findings, strict=True) if f})
            progress.add(len(chunk))
    return found


def _check_chunk(cells, preprocessor):
    if preprocessor.media_type is None:
        return preprocessor.find_problems(cells)
    return [_check_file(cell, preprocessor) for cell in cells]


def _check_file(cell, preprocessor):
    try:
        content = media.load(cell, preprocessor.media_type, preprocessor.media_options)
    except MediaError as error:
        return [error.finding]
    return preprocessor.find_problems([content])[0]


def read(
    data,
    target: str | None = None,
    folder: str | Path | None = None,
    allow_outside: bool = False,
    encoding: str | None = None,
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
        table = tables.read_table(path, encoding)
        return Source(table, target, Path(folder or path.parent).absolute(), path.name, allow_outside)
    folder = Path(folder or ".").absolute()
    if isinstance(data, pd.DataFrame):
        return Source(data.reset_index(drop=True), target, folder, "DataFrame", allow_outside=True)
    if isinstance(data, Iterable) and not isinstance(data, Mapping):
        rows = list(data)
        if not rows or not all(isinstance(row, Mapping) for row in rows):
            raise ValueError(f"A list of rows holds at least one dict, and nothing else. Received: {rows[:2]!r}")
        return Source(pd.DataFrame(rows, dtype=object), target, folder, "rows", allow_outside=True)
    raise TypeError(
        f"`mk.read` takes a path of a table or folder, a DataFrame or a list of dicts. Received: {type(data).__name__}"
    )
