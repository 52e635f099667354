import csv

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mmkeras as mk
from mmkeras.labeling import LabeledTable


def _write(folder, content, name="table.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_only_the_cell_of_the_label_changes(tmp_path):
    content = b'\xef\xbb\xbfid,"text",label,n\r\n007,"say ""hi"",\r\nthen go",,NA\r\n\r\n"8", space ,cat,\r\n9,short'
    path = _write(tmp_path, content)
    table = LabeledTable(path, "label")
    assert table.labels == ["", "cat", ""]
    table.set_label(0, 'a "b", c')
    assert path.read_bytes() == content.replace(b'go",,NA', b'go","a ""b"", c",NA')
    table.set_label(0, "")
    table.set_label(2, "dog")
    assert path.read_bytes() == content + b",dog"


def test_a_missing_column_is_added_with_the_first_label(tmp_path):
    path = _write(tmp_path, "text\tn\ngood\t1\nbad\t02\n", "table.tsv")
    table = LabeledTable(path, "mood")
    assert path.read_text() == "text\tn\ngood\t1\nbad\t02\n"
    table.set_label(1, "down")
    assert path.read_text() == "text\tn\tmood\ngood\t1\t\nbad\t02\tdown\n"
    assert mk.read(path).texts("mood") == ["", "down"]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_stays_as_it_is(tmp_path, encoding):
    path = _write(tmp_path, "\ufefftext,label\r\nschön,\r\n".encode(encoding))
    LabeledTable(path, "label").set_label(0, "да")
    assert path.read_bytes() == "\ufefftext,label\r\nschön,да\r\n".encode(encoding)


def test_another_encoding_can_be_named_and_a_label_must_fit_into_it(tmp_path):
    path = _write(tmp_path, "text,label\nschön,\n".encode("latin-1"))
    table = LabeledTable(path, "label", encoding="latin-1")
    with pytest.raises(ValueError, match="The label 'да' cannot be written in latin-1"):
        table.set_label(0, "да")
    table.set_label(0, "süß")
    assert path.read_bytes() == "text,label\nschön,süß\n".encode("latin-1")


_CELLS = st.text(st.sampled_from('a0é \t,;"\n\r'), max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(_CELLS, _CELLS, _CELLS), min_size=1, max_size=4), _CELLS, st.sampled_from("\t,"), st.data())
def test_all_other_cells_are_read_back_as_they_were(tmp_path_factory, rows, label, separator, data):
    path = tmp_path_factory.mktemp("tables") / ("table.csv" if separator == "," else "table.tsv")
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=separator, quoting=csv.QUOTE_ALL).writerows([("a", "label", "b"), *rows])
    row = data.draw(st.integers(0, len(rows) - 1))
    LabeledTable(path, "label").set_label(row, label)
    rows[row] = (rows[row][0], label, rows[row][2])
    assert mk.read(path).table.to_numpy().tolist() == [list(cells) for cells in rows]


def test_a_table_that_was_changed_meanwhile_is_not_overwritten(tmp_path):
    path = _write(tmp_path, "text,label\na,\n")
    table = LabeledTable(path, "label")
    table.set_label(0, "one")
    path.write_text("text,label\nb,\na,one\n")
    with pytest.raises(ValueError, match="table.csv was changed by another program since it was read"):
        table.set_label(0, "two")
    assert path.read_text() == "text,label\nb,\na,one\n"
    assert table.labels == ["one"]


def test_a_failed_write_leaves_the_old_table_and_nothing_else(tmp_path, monkeypatch):
    path = _write(tmp_path, "text,label\na,\n")
    table = LabeledTable(path, "label")

    def fail(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(OSError, match="No space"):
            table.set_label(0, "one")
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]
    assert (path.read_text(), table.labels) == ("text,label\na,\n", [""])
    table.set_label(0, "two")
    assert path.read_text() == "text,label\na,two\n"


def test_permissions_stay_and_a_link_stays_a_link(tmp_path):
    path = _write(tmp_path, "text,label\na,\n", "real.csv")
    path.chmod(0o640)
    (tmp_path / "link.csv").symlink_to(path)
    LabeledTable(tmp_path / "link.csv", "label").set_label(0, "one")
    assert (tmp_path / "link.csv").is_symlink()
    assert path.read_text() == "text,label\na,one\n"
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "content, message",
    [
        (b"text,label\n\r,\r\nNA", "line 2: an empty line ends in a bare carriage return"),
        (b'text,label\r\n\r,""\r,\r\na,', "line 2: an empty line ends in a bare carriage return"),
        (b"text,label\ra,\r", "lines that could be read in two ways"),
    ],
)
def test_a_table_that_could_be_read_in_two_ways_is_refused(tmp_path, content, message):
    path = _write(tmp_path, content)
    with pytest.raises(ValueError, match=message):
        LabeledTable(path, "label")


def test_beside_other_tables_a_file_of_labels_is_written_and_read_again(tmp_path):
    path = tmp_path / "table.parquet"
    pd.DataFrame({"text": ["a", "b", "c"], "label": ["x", None, None]}).to_parquet(path)
    content = path.read_bytes()
    table = LabeledTable(path, "label")
    assert table.labels == ["x", "", ""]
    table.set_label(2, "y,z")
    table.set_label(0, "w")
    assert (tmp_path / "table.parquet.labels.csv").read_text() == 'row,label\n1,w\n3,"y,z"\n'
    assert path.read_bytes() == content
    assert LabeledTable(path, "label").labels == ["w", "", "y,z"]


@pytest.mark.parametrize("labels", ["row,label\n4,x\n", "row,label\nx,1\n", "n,label\n1,x\n"])
def test_a_file_of_labels_that_does_not_fit_is_refused(tmp_path, labels):
    path = _write(tmp_path, '{"text": "a"}\n', "table.jsonl")
    _write(tmp_path, labels, "table.jsonl.labels.csv")
    with pytest.raises(ValueError, match="does not fit table.jsonl, which has 1 rows"):
        LabeledTable(path, "label")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Labels are written to a table; this is a folder"):
        LabeledTable(tmp_path, "label")
