"""The three kinds of cells (text, lists, files), and the one definition of a missing cell.

White space is what Unicode calls so, in Python and in the graph alike.
"""

import ast
import contextlib
import datetime
import json
import math
import numbers
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import PurePath

import numpy as np
import pandas as pd
import tensorflow as tf

from mmkeras.data.report import Finding

_SPACE = r"[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
_JOINED = re.compile(r"""['"]\s+['"]""")  # NumPy's way to write strings, which Python reads as one
_QUOTES = re.compile(r"""['"]""")
_OUTER_SPACE = f"^{_SPACE}+|{_SPACE}+$"


def strip(cells):
    """A string tensor without the white space around each string, as `str.strip` does it.

    Example:

    >>> strip(tf.constant(["\\u3000red\\n", "\\u00a0"])).numpy().tolist()
    [b'red', b'']
    """
    return tf.strings.regex_replace(cells, _OUTER_SPACE, "")


def is_unicode(cells):
    """Bool tensor like `cells`: whether each string is text in UTF-8.

    Example:

    >>> is_unicode(tf.constant(["red", b"\\xff"])).numpy().tolist()
    [True, False]
    """
    return tf.strings.regex_full_match(cells, r"[\x{0}-\x{d7ff}\x{e000}-\x{10ffff}]*")  # without the surrogates


class Unreadable(str):
    """A cell of another kind than its column: the text that shows it, and the `finding` that says what is wrong.

    It equals nothing but itself, so that it is never taken for a text that reads so.
    """

    def __new__(cls, cell, finding: Finding):
        shown = super().__new__(cls, str(cell)[:80])
        shown.finding = finding
        return shown

    __eq__, __hash__ = object.__eq__, object.__hash__


def is_nothing(cell) -> bool:
    """Whether a cell, as it was read, is None, NaN or what pandas has for them."""
    return cell is None or (isinstance(cell, float) and math.isnan(cell)) or cell is pd.NA or cell is pd.NaT


def to_plain(cell):
    """A cell without what TensorFlow, NumPy and Python's buffers wrap it in: a scalar, `bytes`, a list, or as it is.

    Example:

    >>> to_plain(tf.constant("red")), to_plain(np.array([1, 2])), to_plain(bytearray(b"a"))
    (b'red', [1, 2], b'a')
    """
    if isinstance(cell, tf.Tensor | tf.Variable):
        cell = cell.numpy()
    if isinstance(cell, np.ndarray | np.generic | pd.Series | pd.Index):
        cell = cell.tolist()
    return bytes(cell) if isinstance(cell, bytearray | memoryview) else cell


def to_text(cell) -> str:
    """The text that a cell holds; `""` for nothing; `Unreadable` where a cell is no text, number or date.

    Bytes are text in UTF-8. What is none stays in the text as lone surrogates, and is no Unicode text.
    """
    cell = to_plain(cell)
    if isinstance(cell, str):
        return cell
    if is_nothing(cell):
        return ""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "surrogateescape")
    if isinstance(cell, numbers.Number | datetime.date | datetime.time | PurePath):
        return str(cell)
    kind = type(cell).__name__
    remedy = "write one value in the cell, or read lists of items by mk.History"
    return Unreadable(cell, Finding("not a text", f"it is an object of type {kind}", remedy, True))


def to_list(cell) -> tuple[str, ...]:
    """The items that a cell holds: a list, one as JSON or Python writes it, or text with spaces between the items."""
    cell = to_plain(cell)
    if is_nothing(cell):
        return ()
    if isinstance(cell, bytes):
        cell = to_text(cell)
    if isinstance(cell, str):
        text = cell.strip()
        if not (text.startswith("[") and text.endswith("]")):
            return tuple(text.split())
        items = _parse_list(text)
        if items is None:
            remedy = 'write it as ["a", "b"]; in pandas, save the table as JSON Lines or Parquet'
            return (Unreadable(cell, Finding("not a list", "its items cannot be separated", remedy, True)),)
    elif isinstance(cell, list | tuple):
        items = cell
    elif isinstance(cell, numbers.Number):
        items = [cell]
    else:
        finding = Finding("not a list", f"it is an object of type {type(cell).__name__}", "write a list", True)
        return (Unreadable(cell, finding),)
    return tuple(to_text(item) for item in items if not is_nothing(item))


def _parse_list(text):
    """The items of a list in brackets; None where it is not clear what they are."""
    for parse in (json.loads, ast.literal_eval):  # which reads values only, and runs nothing
        with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return None if _JOINED.search(text) and parse is ast.literal_eval else list(parse(text))
    if _QUOTES.search(text):
        return None
    items = [item.strip() for item in text[1:-1].split("," if "," in text else None)]
    return None if "..." in items else items


def to_file(cell, folder: str | PurePath) -> str | bytes:
    """The absolute path of a file, taken from `folder` where it is relative; its bytes; or `""` for nothing.

    `~` is the home of the user; where no file is called so, backslashes are those of Windows.
    """
    cell = to_plain(cell)
    if isinstance(cell, Mapping) and set(cell) <= {"bytes", "path"}:  # as in image and audio data sets of Hugging Face
        cell = cell.get("path") if cell.get("bytes") is None else to_plain(cell["bytes"])
    if isinstance(cell, bytes):
        return cell
    if is_nothing(cell) or (isinstance(cell, str) and not cell.strip()):
        return ""
    if not isinstance(cell, str | PurePath):
        detail = f"it is an object of type {type(cell).__name__}"
        return Unreadable(cell, Finding("not a file", detail, "give the path of a file, or its bytes", True))
    path = os.path.join(folder, os.path.expanduser(cell))
    if "\\" in path and not os.path.lexists(path):
        return path.replace("\\", "/")
    return path


class Cells:
    """A kind of cells: how values are read, and which of them are missing.

    Attributes:
        name: of the kind.
    """

    name: str

    def convert(self, values: Iterable, folder: str | PurePath) -> list:
        """The cells that the values of a column are; relative paths start from `folder`."""
        raise NotImplementedError

    def is_empty(self, cell) -> bool:
        """Whether a cell, as `convert` gives it, holds nothing."""
        raise NotImplementedError

    def is_present(self, strings):
        """The same in the graph: bool tensor, for each string of a raw cell whether it holds something."""
        raise NotImplementedError

    def is_readable(self, strings):
        """Bool tensor: for each string of a raw cell whether it is of this kind at all."""
        raise NotImplementedError


class TextCells(Cells):
    """A cell is a text; one of white space is missing."""

    name = "text"

    def convert(self, values, folder):
        return [to_text(value) for value in values]

    def is_empty(self, cell):
        return not cell.strip()

    def is_present(self, strings):
        return ~tf.strings.regex_full_match(strings, f"{_SPACE}*")

    def is_readable(self, strings):
        return is_unicode(strings)


class ListCells(TextCells):
    """A cell is a tuple of texts; one with nothing but missing texts is missing."""

    name = "list"

    def convert(self, values, folder):
        return [to_list(value) for value in values]

    def is_empty(self, cell):
        return all(super(ListCells, self).is_empty(item) for item in cell)


class FileCells(Cells):
    """A cell is the path of a file, or its bytes; without a path or a byte it is missing."""

    name = "file"

    def convert(self, values, folder):
        return [to_file(value, folder) for value in values]

    def is_empty(self, cell):
        return len(cell) == 0

    def is_present(self, strings):
        return tf.strings.length(strings) > 0

    def is_readable(self, strings):
        return tf.ones(tf.shape(strings), tf.bool)


TEXT, LIST, FILE = TextCells(), ListCells(), FileCells()
