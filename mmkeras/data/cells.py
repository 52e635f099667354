"""The three kinds of cells (text, lists, files), and the one definition of a missing cell.

White space is what Unicode calls so, in Python and in the graph alike.
"""

import tensorflow as tf

_SPACE = r"[\t-\r\x1c-\x20\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
_OUTER_SPACE = f"^{_SPACE}+|{_SPACE}+$"


def strip(cells):
    """A string tensor without the white space around each string, as `str.strip` does it.

    Example:

    >>> strip(tf.constant(["\\u3000red\\n", "\\u00a0"])).numpy().tolist()
    [b'red', b'']
    """
    return tf.strings.regex_replace(cells, _OUTER_SPACE, "")


class Cells:
    """A kind of cells: how a column is read, and which of its cells are missing."""

    def read(self, source, column: str) -> list:
        """The cells of a column of a `Source`."""
        raise NotImplementedError

    def is_empty(self, cell) -> bool:
        """Whether a cell, as `read` gives it, holds nothing."""
        raise NotImplementedError

    def is_present(self, strings):
        """The same in the graph: bool tensor, for each string of a raw cell whether it holds something."""
        raise NotImplementedError


class TextCells(Cells):
    """A cell is a text; one of white space is missing."""

    def read(self, source, column):
        return source.texts(column)

    def is_empty(self, cell):
        return not cell.strip()

    def is_present(self, strings):
        return tf.strings.length(strip(strings)) > 0


class ListCells(TextCells):
    """A cell is a tuple of texts; one with nothing but missing texts is missing."""

    def read(self, source, column):
        return source.lists(column)

    def is_empty(self, cell):
        return all(super(ListCells, self).is_empty(item) for item in cell)


class FileCells(Cells):
    """A cell is the path of a file, or its bytes; without a path or a byte it is missing."""

    def read(self, source, column):
        return source.files(column)

    def is_empty(self, cell):
        return len(cell) == 0

    def is_present(self, strings):
        return tf.strings.length(strings) > 0


TEXT, LIST, FILE = TextCells(), ListCells(), FileCells()
