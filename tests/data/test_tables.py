import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmkeras as mk


def test_tabs_separate_the_cells_of_a_tsv(tmp_path):
    (tmp_path / "t.tsv").write_text('text\tlabel\na, b\t007\n"tab\there"\tNA\n')
    source = mk.read(tmp_path / "t.tsv", target="label")
    assert source.texts("text") == ["a, b", "tab\there"]
    assert source.texts(source.target) == ["007", "NA"]


def test_json_lines_keep_lists_and_numbers(tmp_path):
    rows = [{"text": "é", "clicks": ["a", 3], "n": 1}, {"text": None, "n": 12345678901234567890}]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    source = mk.read(tmp_path / "t.jsonl")
    assert source.texts("text") == ["é", ""]
    assert source.texts("n") == ["1", "12345678901234567890"]
    assert source.lists("clicks") == [("a", "3"), ()]


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", "t.jsonl, line 2: it is not JSON"),
        ("[1]", r"t.jsonl, line 2: a row is an object \{...\}. Received: \[1\]"),
        ('{"a": {"b": 1}}', r"t.jsonl, line 2: \['a'\] hold objects. Give each of their values a column of its own"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path, line, message):
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n' + line + "\n")
    with pytest.raises(ValueError, match=message):
        mk.read(tmp_path / "t.jsonl")


def test_parquet_keeps_whole_numbers_beside_missing_ones(tmp_path):
    table = pa.table(
        {"n": pa.array([3, None]), "text": ["a", None], "bytes": [b"x", None], "clicks": [["1", "2"], None]}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    source = mk.read(tmp_path / "t.parquet")
    assert source.texts("n") == ["3", ""]
    assert source.texts("text") == ["a", ""]
    assert source.files("bytes") == [b"x", ""]
    assert source.lists("clicks") == [("1", "2"), ()]


def test_nested_columns_and_what_is_no_parquet_are_refused(tmp_path):
    pq.write_table(pa.table({"a": [{"b": 1}], "c": [1]}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"t.parquet: the columns \['a'\] are nested"):
        mk.read(tmp_path / "t.parquet")
    (tmp_path / "u.parquet").write_text("no")
    with pytest.raises(ValueError, match="u.parquet is not a Parquet file"):
        mk.read(tmp_path / "u.parquet")


def test_a_folder_of_folders_is_read_by_class(tmp_path):
    for path in ("cat/2.png", "cat/sub/1.png", "dog/1.png", "dog/.hidden", ".git/x", "readme.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / "cat" / "loop").symlink_to(tmp_path)
    source = mk.read(tmp_path)
    assert source.table["file"].tolist() == ["cat/2.png", "cat/sub/1.png", "dog/1.png"]
    assert source.texts(source.target) == ["cat", "cat", "dog"]


def test_a_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "1.png").write_text("")
    with pytest.raises(ValueError, match="holds no files in folders of their class, such as .*cat/1.jpg"):
        mk.read(tmp_path)


@pytest.mark.parametrize(
    "content, message",
    [
        ("a,b\n1,2,3\n4,5,6\n", "its rows have more cells than its header. Put quotes around cells with commas"),
        ("a,a\n1,2\n", r"more than one column of the name \['a'\]"),
    ],
)
def test_rows_that_do_not_fit_the_header_are_refused(tmp_path, content, message):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        mk.read(tmp_path / "t.csv")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=8))
def test_every_cell_comes_back_as_it_was_written(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("round")
    table = pd.DataFrame(rows, columns=["first", "second"])
    table.to_csv(folder / "t.csv", index=False)
    table.to_json(folder / "t.jsonl", orient="records", lines=True)
    for name in ("t.csv", "t.jsonl"):
        source = mk.read(folder / name)
        assert list(zip(source.texts("first"), source.texts("second"), strict=True)) == rows


SUFFIXES = [".csv", ".tsv", ".jsonl", ".parquet"]


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.sampled_from(SUFFIXES))
def test_any_bytes_give_a_table_or_a_sentence(tmp_path_factory, data, suffix):
    path = tmp_path_factory.mktemp("any") / f"t{suffix}"
    path.write_bytes(data)
    require_table_or_sentence(path)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_five_thousand_damaged_tables_give_a_table_or_a_sentence(tmp_path, suffix):
    """Bytes changed, cut out and doubled in a good table."""
    rows = [{"text": f'é, "{i}"\n', "n": str(i), "label": "a"} for i in range(20)]
    table, path, random = pd.DataFrame(rows), tmp_path / f"t{suffix}", np.random.default_rng(0)
    if suffix == ".parquet":
        table.to_parquet(path)
    elif suffix == ".jsonl":
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")
    good = path.read_bytes()
    for _ in range(5000):
        data = bytearray(good)
        for _ in range(random.integers(1, 6)):
            start, length = random.integers(len(data)), random.integers(1, 8)
            kind = random.integers(3)
            if kind == 0:
                data[start : start + length] = random.bytes(length)
            else:
                data[start : start + length] = data[start : start + length] * (0 if kind == 1 else 2)
            data = data or bytearray(b"x")
        path.write_bytes(data)
        require_table_or_sentence(path)


def require_table_or_sentence(path):
    try:
        source = mk.read(path)
    except ValueError as error:
        assert path.name in str(error)
    else:
        assert all(len(source.texts(column)) == len(source) for column in source.table.columns)


def test_cells_that_would_move_after_an_empty_line_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"text,label\r\na,b\r\n\r,x\r\n")
    with pytest.raises(ValueError, match=r"t.csv, line 3: an empty line ends in a bare carriage return \(\\r\)"):
        mk.read(path)
    path.write_bytes(b"text,label\ra,b\r,x\r")  # nothing empty: as an old Macintosh writes it
    assert mk.read(path).texts("label") == ["b", "x"]
    path.write_bytes(b'text,label\r\n"\r\r,",x\r\n')  # within a quoted cell it is text
    assert mk.read(path).texts("text") == ["\r\r,"]
