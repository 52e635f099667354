"""A table that takes labels: each is written at once, and no other cell of the file is touched."""

import codecs
import csv
import hashlib
import io
import os
import re
import shutil
import tempfile
import threading
from pathlib import Path

from mmkeras.data import read

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class LabeledTable:
    """The rows of a table, and the labels in one of its columns, which it writes back.

    CSV and TSV files get the labels themselves: only the cell of the label changes, all other characters stay. Beside
    any other table, `<table>.labels.csv` gets the row's number (from 1) and its label; where it is there already, its
    labels are read.

    Args:
        path: of the table.
        target: column of the labels; a column that is not there is added with the first label.
        encoding: of a table of text, as in `mk.read`.
        allow_outside: as in `mk.read`.

    Attributes:
        source: the rows without the labels, a `Source`.
        target: as given.
        labels: of every row, `""` where there is none.
        output: path of the file that is written.
    """

    def __init__(self, path: str | Path, target: str, encoding: str | None = None, allow_outside: bool = False):
        path = Path(path)
        if path.is_dir():
            raise ValueError(f"Labels are written to a table; this is a folder. Received: {path}")
        source = read(path, allow_outside=allow_outside, encoding=encoding)
        columns = list(source.table.columns)
        self.source = source.with_columns([column for column in columns if column != target])
        self.target = target
        self.labels = source.texts(target) if target in columns else [""] * len(source)
        table = Path(os.path.realpath(path))  # a link to the table stays a link
        separator = _SEPARATORS.get(path.suffix.lower())
        if separator:
            self._file = _SeparatedFile(table, target, separator, encoding, source)
        else:
            self._file = _LabelFile(table, len(source))
            for row, label in self._file.labels.items():
                self.labels[row] = label
        self.output = self._file.path
        self._lock = threading.Lock()

    def __len__(self):
        return len(self.labels)

    def set_label(self, row: int, label: str) -> None:
        """Writes the label of a row, counted from 0; `""` takes it away.

        Raises:
            ValueError: when the file was changed since it was read; nothing is written then.
            OSError: when it cannot be written.
        """
        with self._lock:
            self._file.write(row, label)
            self.labels[row] = label


class _SeparatedFile:
    """The characters of a CSV or TSV file, record by record."""

    def __init__(self, path, target, separator, encoding, source):
        self.path = path
        self.separator = separator
        data = path.read_bytes()
        self.mark = next((mark for mark in _MARKS if data.startswith(mark)), b"")
        self.encoding = _MARKS[self.mark] if self.mark else encoding or "utf-8"
        self.digests = {path: _digest(data)}
        # An unquoted field is what stands between separators; quotes within a quoted one are doubled.
        field = rf'(?:"(?:[^"]++|"")*+"[^{separator}\r\n]*+|[^{separator}\r\n]*+)'
        self._field = re.compile(rf"(?:\A|{separator})({field})")
        record = re.compile(rf"{field}(?:{separator}{field})*+(?:\r\n|\r|\n|\Z)")
        self.records = [text for text in record.findall(data[len(self.mark) :].decode(self.encoding)) if text]
        self.rows = [i for i, text in enumerate(self.records) if text.strip(" \r\n" + "\t,".replace(separator, ""))]
        self._check(source)
        header = [_unquote(field) for field in self._split(self.records[self.rows[0]])[0]]
        if target in header:
            self.column = header.index(target)
        else:
            self.column = len(header)
            for row, position in enumerate(self.rows):
                self.records[position] = self._set_field(position, target if row == 0 else "")

    def _check(self, source):
        """Compares what stands in the records with what was read, so that no label gets into another row."""
        cells = [source.texts(column) for column in source.table.columns]
        expected = [list(source.table.columns), *map(list, zip(*cells, strict=True))]
        found = [[_unquote(field) for field in self._split(self.records[position])[0]] for position in self.rows]
        padded = [row + [""] * (len(expected[0]) - len(row)) for row in found]
        # After a bare carriage return pandas passes over an empty first cell.
        if padded != expected or any(record.endswith("\r") for record in self.records):
            raise ValueError(
                f"{self.path} has lines that could be read in two ways, so labels cannot be written into it safely. "
                f"Rewrite it first: mk.read('{self.path.name}').table.to_csv('clean.csv', index=False)"
            )

    def _split(self, record):
        content = record.rstrip("\r\n")
        return self._field.findall(content), record[len(content) :]

    def _set_field(self, position, value):
        """The record at this position with another value in the column of the labels."""
        fields, ending = self._split(self.records[position])
        fields += [""] * (self.column + 1 - len(fields))
        needs_quotes = any(character in value for character in f'{self.separator}"\r\n')
        fields[self.column] = '"' + value.replace('"', '""') + '"' if needs_quotes else value
        return self.separator.join(fields) + ending

    def write(self, row, label):
        position = self.rows[row + 1]
        changed = self._set_field(position, label)
        text = "".join([*self.records[:position], changed, *self.records[position + 1 :]])
        try:
            data = self.mark + text.encode(self.encoding)
        except UnicodeEncodeError:
            raise ValueError(
                f"The label {label!r} cannot be written in {self.encoding}, as {self.path.name} is. Choose another."
            ) from None
        _replace(self.path, data, self.digests)
        self.records[position] = changed


class _LabelFile:
    """Labels by number of the row, beside a table that is only read."""

    def __init__(self, table, row_count):
        self.path = table.with_name(f"{table.name}.labels.csv")
        self.labels = {}
        self.digests = {table: _digest(table.read_bytes())}
        if not self.path.exists():
            self.digests[self.path] = None
            return
        data = self.path.read_bytes()
        self.digests[self.path] = _digest(data)
        for number, line in enumerate(csv.reader(io.StringIO(data.decode("utf-8"), newline=""))):
            if number == 0 and line == ["row", "label"]:
                continue
            if number == 0 or len(line) != 2 or not (line[0].isdecimal() and 1 <= int(line[0]) <= row_count):
                raise ValueError(
                    f"{self.path} does not fit {table.name}, which has {row_count:,} rows: it holds the columns row "
                    f"and label, and numbers of rows from 1. Mend it or move it away. Received: {line}"
                )
            self.labels[int(line[0]) - 1] = line[1]

    def write(self, row, label):
        labels = self.labels | {row: label}
        output = io.StringIO(newline="")
        writer = csv.writer(output, lineterminator="\n")
        writer.writerow(["row", "label"])
        writer.writerows((row + 1, label) for row, label in sorted(labels.items()))
        _replace(self.path, output.getvalue().encode(), self.digests)
        self.labels = labels


def _unquote(field):
    if not field.startswith('"'):
        return field
    match = re.fullmatch(r'"((?:[^"]|"")*)"(.*)', field, re.DOTALL)
    return match[1].replace('""', '"') + match[2] if match else field


def _digest(data):
    return hashlib.sha256(data).digest()


def _replace(path, data, digests):
    """Writes a file as a whole or not at all, unless one of the files in `digests` was changed."""
    for known, digest in digests.items():
        if digest != (_digest(known.read_bytes()) if known.exists() else None):
            raise ValueError(
                f"{known.name} was changed by another program since it was read. Nothing was written; labels given "
                f"before are in the file unless that program removed them. Start `mmkeras label` again."
            )
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} may not be written by this user.")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(next(known for known in digests if known.exists()), temporary)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    digests[path] = _digest(data)
