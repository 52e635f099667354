"""Files and folders to tables: CSV, TSV, JSON Lines, Parquet, and a folder tree with one folder a class."""

import json
import mmap
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
FILE, LABEL = "file", "label"
_QUOTING = "Put quotes around cells with commas."
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_table(
    path: Path, encoding: str | None = None, separator: str | None = None, decimal: str = "."
) -> pd.DataFrame:
    """The table in a file, its cells as they are written.

    Args:
        path: with one of `SUFFIXES`.
        encoding: of text; None for UTF-8, or UTF-16 where the file starts with its mark.
        separator: between cells of CSV; None for a comma, or a tab in `.tsv`.
        decimal: what stands before the decimals of numbers in CSV.

    Raises:
        FileNotFoundError, ValueError, ImportError: say which file and line is at fault, and what to do.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"`mk.read` reads tables from files that end in one of {SUFFIXES}. Received: {path}")
    if not path.exists():
        raise FileNotFoundError(f"No table at {path}. The current folder is {Path.cwd()}.")
    if path.stat().st_size == 0:
        raise ValueError(f"{path} is empty: a table has a header and at least one row.")
    if suffix == ".parquet":
        table = _read_parquet(path)
    elif suffix in (".jsonl", ".ndjson"):
        table = _read_json_lines(path, encoding or _find_encoding(path))
    else:
        separator = separator or ("\t" if suffix == ".tsv" else ",")
        table = _read_separated(path, separator, encoding or _find_encoding(path))
        table = table if decimal == "." else table.apply(_write_points, args=(decimal,))
    if table.empty:
        raise ValueError(f"{path} has a header and no rows.")
    return table


def read_parts(path: Path, rows: int, encoding: str | None = None) -> Iterator[pd.DataFrame]:
    """The table in a file as parts of up to so many rows, of which one at a time is in memory; of files that are not
    CSV or TSV, one part.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".tsv") or not path.exists() or path.stat().st_size == 0:
        yield read_table(path, encoding)
        return
    separator, encoding = "\t" if suffix == ".tsv" else ",", encoding or _find_encoding(path)
    head = _read_separated(path, separator, encoding, nrows=1)
    options = {"sep": separator, "dtype": str, "na_filter": False, "encoding": encoding}
    try:
        with pd.read_csv(path, chunksize=rows, **options) as parts:
            for part in parts:
                yield part.set_axis(head.columns, axis=1)
    except (pd.errors.ParserError, UnicodeError) as error:
        raise ValueError(f"{path} is not a table: {str(error).strip()}. {_QUOTING}") from None


def name_columns(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The table with text for the names of its columns, such as "0" for 0.

    Raises:
        ValueError: when two columns have the same name.
    """
    names = [str(column) for column in table.columns]
    if twice := sorted({column for column in names if names.count(column) > 1}):
        raise ValueError(f"{name} has more than one column of the name {twice}. Give each its own name.")
    return table.set_axis(names, axis=1)


def _find_encoding(path):
    with path.open("rb") as file:
        head = file.read(1000)
    if head.startswith(_UTF16_MARKS):
        return "utf-16"
    if b"\0" in head:
        order = "le" if head[1:2] == b"\0" else "be"
        raise ValueError(
            f"{path} holds zero bytes, as UTF-16 does, and does not begin with a mark that says so. Name what it is: "
            f"mk.read(..., encoding='utf-16-{order}')"
        )
    return "utf-8-sig"


def _write_points(column, decimal):
    """The numbers of a column with points; a column with anything else stays as it is."""
    number = re.compile(rf"\s*[+-]?[0-9]*(?:{re.escape(decimal)}[0-9]+)?(?:[eE][+-]?[0-9]+)?\s*")
    if not all(map(number.fullmatch, column)):
        return column
    return column.str.replace(decimal, ".", regex=False)


def _read_separated(path, separator, encoding, nrows=None):
    _refuse_moved_cells(path)
    options = {"sep": separator, "dtype": str, "na_filter": False, "encoding": encoding}
    try:
        header = pd.read_csv(path, header=None, nrows=1, **options).iloc[0]
        table = pd.read_csv(path, nrows=nrows, **options)
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty: a table has a header and at least one row.") from None
    except pd.errors.ParserError as error:
        raise ValueError(f"{path} is not a table: {str(error).strip()}. {_guess_fault(path, encoding)}") from None
    except UnicodeError:
        raise ValueError(
            f"{_name_bad_lines(path, encoding)} Save it as UTF-8, or name what it is: mk.read(..., encoding='latin-1')"
        ) from None
    if not isinstance(table.index, pd.RangeIndex):  # pandas takes what is too much for names of rows
        raise ValueError(
            f"{path} is not a table: its rows have more cells than its header. {_guess_fault(path, encoding)}"
        )
    if len(header) == 1 and (other := _find_separator(header[0], separator)):
        raise ValueError(
            f"{path} has one column, {header[0]!r}, whose name holds {other!r}. If this stands between the cells: "
            f"mk.read(..., sep={other!r})"
        )
    return table.set_axis(header.to_list(), axis=1)


def _find_separator(line, separator):
    return next((mark for mark in (";", "\t", "|", ",") if mark != separator and mark in str(line)), None)


def _guess_fault(path, encoding):
    """What to do about rows that are longer than the header."""
    with path.open(encoding=encoding) as file:
        first, second = file.readline().rstrip(), file.readline().rstrip()
    if other := _find_separator(first, ","):
        return f"If {other!r} stands between the cells: mk.read(..., sep={other!r})"
    if "," not in first and "," in second:
        return f"A title seems to stand above the header: {first[:60]!r}. Take it out."
    return _QUOTING


def _refuse_moved_cells(path):
    """After an empty line that ends in a bare carriage return, pandas passes over an empty first cell."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        quotes, seen = 0, 0
        for match in re.finditer(rb"[\r\n]\r[,\t]", content):
            quotes += content[seen : match.start()].count(b'"')
            seen = match.start()
            if quotes % 2 == 0:  # not within a quoted cell
                line = content[: seen + 1].count(b"\n") + 1
                raise ValueError(
                    f"{path}, line {line:,}: an empty line ends in a bare carriage return (\\r), so that it is not "
                    "clear where the next cells belong. Save the table with lines that end in \\n or \\r\\n."
                )


def _name_bad_lines(path, encoding):
    """A sentence on the lines of a file that are not in this encoding."""
    name = encoding.removesuffix("-sig").upper()
    with path.open("rb") as file:
        bad = [number for number, line in enumerate(file, 1) if not _is_encoded(line, encoding)]
    if not bad:
        return f"{path} is not {name}."
    return f"{path} is not {name} in {len(bad):,} of its lines, the first of them line {bad[0]:,}."


def _is_encoded(line, encoding):
    try:
        line.decode(encoding)
    except UnicodeError:
        return False
    return True


def _read_json_lines(path, encoding):
    try:
        with path.open(encoding=encoding) as file:
            rows = [_parse_row(path, number, line) for number, line in enumerate(file, 1) if line.strip()]
    except UnicodeError:
        raise ValueError(f"{_name_bad_lines(path, encoding)} JSON Lines are UTF-8.") from None
    return pd.DataFrame(rows, dtype=object)


def _parse_row(path, number, line):
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {number}: it is not JSON: {error.msg} at character {error.pos}.") from None
    if not isinstance(row, dict):
        raise ValueError(f"{path}, line {number}: a row is an object {{...}}. Received: {line.strip()[:60]}")
    nested = sorted(name for name, cell in row.items() if isinstance(cell, dict) and not set(cell) <= {"bytes", "path"})
    if nested:
        raise ValueError(
            f"{path}, line {number}: {nested} hold objects. Give each of their values a column of its own."
        )
    return row


def _is_nested(kind):
    """Whether a column of Parquet holds several values by name; the bytes and the path of a file are one."""
    import pyarrow as pa

    is_file = pa.types.is_struct(kind) and {field.name for field in kind} <= {"bytes", "path"}
    return pa.types.is_map(kind) or (pa.types.is_struct(kind) and not is_file)


def _read_parquet(path):
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ImportError("Reading Parquet needs a package of its own: pip install 'mmkeras[parquet]'") from None
    try:
        schema = pq.read_schema(path)
        nested = [field.name for field in schema if _is_nested(field.type)]
        if nested:
            raise ValueError(f"{path}: the columns {nested} are nested. Give each of their values a column of its own.")
        table = pq.read_table(path)
        table.validate(full=True)  # else text that is no UTF-8 would be found when it is used
        # Without what pandas wrote about itself, which may be damaged, and is not needed.
        return table.replace_schema_metadata(None).to_pandas(types_mapper=pd.ArrowDtype)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ValueError(f"{path} is not a Parquet file: {error}") from None


def read_class_folders(folder: Path) -> pd.DataFrame:
    """Files in a folder tree with one folder a class, as rows of `file` (relative path) and `label`.

    Hidden files are left out, and links to folders are not followed.
    """
    rows = []
    for label in sorted(
        entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith(".")
    ):
        for parent, folders, files in os.walk(folder / label):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            paths = [Path(parent, name) for name in sorted(files) if not name.startswith(".")]
            rows += [(path.relative_to(folder).as_posix(), label) for path in paths]
    if not rows:
        raise ValueError(f"{folder} holds no files in folders of their class, such as {folder}/cat/1.jpg.")
    return pd.DataFrame(rows, columns=[FILE, LABEL])
