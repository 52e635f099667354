"""Rows from a table: reading, checking, splitting."""

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from mmkeras.data import media
from mmkeras.data.report import Problem, Report

_CELLS_A_CHUNK = 256


class Source:
    """Rows of raw cells: text, or paths to media relative to `folder`, or their bytes. Made by `mk.read`.

    Attributes:
        table: the rows, a pandas DataFrame of what was read.
        target: name of the column with the labels, or None.
        folder: what relative paths start from.
        name: how messages call this source.
    """

    def __init__(self, table: pd.DataFrame, target: str | None, folder: Path, name: str, row_numbers=None):
        self.table = table
        self.target = target
        self.folder = folder
        self.name = name
        self._row_numbers = np.arange(1, len(table) + 1) if row_numbers is None else row_numbers
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
            f"{self.name}, row {self._row_numbers[index]}, column '{column}': a cell of media holds a path (text) "
            f"or the content (bytes). Received: {cell!r} of type {type(cell).__name__}"
        )

    def cells(self, column: str, preprocessor) -> list[str | bytes]:
        """The cells of a column in the form that `preprocessor` takes."""
        return self.files(column) if preprocessor.reads_files else self.texts(column)

    def labels(self) -> list[str]:
        """The cells of the target column as text."""
        if self.target is None:
            raise ValueError(f"{self.name} was read without a target: `mk.read(..., target='<column>')` names it.")
        return self.texts(self.target)

    def select(self, indices: Sequence[int]) -> "Source":
        """The rows at these positions, which keep their numbers in messages."""
        indices = np.asarray(indices, int)
        return Source(self.table.iloc[indices], self.target, self.folder, self.name, self._row_numbers[indices])

    def without(self, rows: Iterable[int]) -> "Source":
        """All rows but those of these numbers, as a `Report` counts them: from 1."""
        return self.select(np.flatnonzero(~np.isin(self._row_numbers, list(rows))))

    def without_target(self) -> "Source":
        """The same rows, without labels."""
        return Source(self.table, None, self.folder, self.name, self._row_numbers)

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
            column = modality.column or name
            cells = self.cells(column, modality.preprocessor)
            missing[column] = sum(not cell.strip() for cell in cells)
            problems += self._check_column(column, cells, modality.preprocessor)
        if self.target is not None:
            problems += self._check_labels(classes)
        problems.sort(key=lambda problem: problem.row)
        return Report(self.name, len(self), missing, problems)

    def _check_column(self, column, cells, preprocessor):
        key = (column, json.dumps(preprocessor.get_config()))
        if key not in self._checked:  # reading every file is worth doing once
            found = _check_cells(sorted({cell for cell in cells if cell}, key=repr), preprocessor, column)
            self._checked[key] = [
                self._problem(row, column, cell, *found[cell])
                for row, cell in zip(self._row_numbers, cells, strict=True)
                if cell in found
            ]
        return self._checked[key]

    def _check_labels(self, classes):
        known = None if classes is None else set(classes)
        problems = []
        for row, label in zip(self._row_numbers, self.labels(), strict=True):
            if not label:
                found = ("no label", "the cell is empty", "label the row", True)
            elif known is not None and label not in known:
                near = difflib.get_close_matches(label, classes, n=1)
                remedy = f"correct it to '{near[0]}'" if near else "correct it, or train on rows that have it"
                found = ("unknown label", f"the model knows {len(classes)} labels, and not this one", remedy, True)
            else:
                continue
            problems.append(self._problem(row, self.target, label, *found))
        return problems

    def _problem(self, row, column, cell, kind, detail, remedy, rejected):
        shown = f"{len(cell)} bytes" if isinstance(cell, bytes) else cell
        if isinstance(cell, str) and Path(cell).is_relative_to(self.folder):
            shown = str(Path(cell).relative_to(self.folder))
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        return Problem(self.name, int(row), column, shown, kind, detail, remedy, rejected)


def _is_nothing(cell):
    return cell is None or (isinstance(cell, float) and np.isnan(cell)) or cell is pd.NA or cell is pd.NaT


def _check_cells(cells, preprocessor, column) -> dict:
    """The problems of distinct non-empty cells, with a progress bar where it takes a while."""
    chunks = [cells[i : i + _CELLS_A_CHUNK] for i in range(0, len(cells), _CELLS_A_CHUNK)]
    progress = keras.utils.Progbar(
        len(cells), unit_name="cell", verbose=int(len(chunks) > 4 and preprocessor.reads_files)
    )
    if progress.verbose:
        print(f"Checking the files of column '{column}'")
    found = {}
    with ThreadPoolExecutor() as pool:
        for chunk, problems in zip(
            chunks, pool.map(lambda chunk: _check_chunk(chunk, preprocessor), chunks), strict=True
        ):
            found.update({cell: p for cell, p in zip(chunk, problems, strict=True) if p is not None})
            progress.add(len(chunk))
    return found


def _check_chunk(cells, preprocessor):
    if not preprocessor.reads_files:
        return preprocessor.find_problems([cell.encode() for cell in cells])
    problems = [media.find_file_problem(cell) for cell in cells]
    for i, cell in enumerate(cells):
        if problems[i] is None:
            problems[i] = _check_content(cell, preprocessor)
    return problems


def _check_content(cell, preprocessor):
    try:
        content = media.read(cell)
    except OSError as error:
        return ("unreadable file", error.strerror or str(error), "see to it that this user may read it", True)
    return preprocessor.find_problems([content])[0]


def read(data, target: str | None = None, folder: str | Path | None = None) -> Source:
    """Reads rows from a CSV file, a pandas DataFrame or a list of dicts.

    Args:
        data: path of a `.csv` file (UTF-8, with a header), a DataFrame, or a list of dicts.
            Cells hold text, numbers, paths of media, or their bytes; empty cells are missing values.
        target: the column with the labels; None for rows without.
        folder: what relative paths in cells start from; by default the folder of the CSV file, else the current one.

    Returns: a `Source`.

    Raises:
        FileNotFoundError, ValueError, TypeError: say which file, line or column is at fault.

    Example:

    >>> mk.read([{"text": "good", "label": "yes"}], target="label")
    <Source rows: 1 rows of ['text', 'label'], target='label'>
    """
    if isinstance(data, str | Path):
        path = Path(data)
        return Source(_read_csv(path), target, Path(folder or path.parent).absolute(), path.name)
    folder = Path(folder or ".").absolute()
    if isinstance(data, pd.DataFrame):
        return Source(data.reset_index(drop=True), target, folder, "DataFrame")
    if isinstance(data, Iterable) and not isinstance(data, Mapping):
        rows = list(data)
        if not rows or not all(isinstance(row, Mapping) for row in rows):
            raise ValueError(f"A list of rows holds at least one dict, and nothing else. Received: {rows[:2]!r}")
        return Source(pd.DataFrame(rows, dtype=object), target, folder, "rows")
    raise TypeError(
        f"`mk.read` takes the path of a CSV file, a DataFrame or a list of dicts. Received: {type(data).__name__}"
    )


def _read_csv(path):
    if path.suffix.lower() != ".csv":
        raise ValueError(f"`mk.read` reads tables from .csv files. Received: {path}")
    if not path.exists():
        raise FileNotFoundError(f"No table at {path}. The current folder is {Path.cwd()}.")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, na_filter=False)
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty: a table has a header and at least one row.") from None
    except pd.errors.ParserError as error:
        raise ValueError(f"{path} is not a table: {str(error).strip()}. Put quotes around cells with commas.") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}. Save it as UTF-8.") from None
    if table.empty:
        raise ValueError(f"{path} has a header and no rows.")
    return table
