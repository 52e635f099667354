import pandas as pd
import pytest

import mmkeras as mk

pytestmark = pytest.mark.compat


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


ROWS = [{"text": "good", "stars": 5, "label": "yes"}, {"text": None, "stars": float("nan"), "label": "no"}]


@pytest.mark.parametrize("make", [list, pd.DataFrame], ids=["dicts", "frame"])
def test_rows_in_memory_keep_their_cells(make):
    source = mk.read(make(ROWS), target="label")
    assert source.texts("text") == ["good", ""]
    assert [cell[:1] for cell in source.texts("stars")] == ["5", ""]
    assert source.texts(source.target) == ["yes", "no"]


def test_a_csv_keeps_its_cells_as_they_are_written(tmp_path):
    table = write(tmp_path / "t.csv", 'text,image,label\n"a, ""b""\nc",x.png,NA\n007,,null\n')
    source = mk.read(table, target="label")
    assert source.texts("text") == ['a, "b"\nc', "007"]
    assert source.files("image") == [str(tmp_path / "x.png"), ""]
    assert source.texts(source.target) == ["NA", "null"]


def test_paths_start_from_the_given_folder(tmp_path):
    assert mk.read([{"image": "x.png"}], folder=tmp_path).files("image") == [str(tmp_path / "x.png")]


def test_the_target_must_be_a_column(tmp_path):
    with pytest.raises(ValueError) as error:
        mk.read(write(tmp_path / "t.csv", "text,answer\na,b\n"), target="anwser")
    assert str(error.value) == (
        "t.csv has no column 'anwser', which was asked for as target. Did you mean 'answer'? "
        "Its columns: ['text', 'answer']"
    )


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "t.csv is empty: a table has a header and at least one row"),
        ("a,b\n", "t.csv has a header and no rows"),
        ("a,b\n1,2\n1,2,3\n", "t.csv is not a table: .*Expected 2 fields in line 3, saw 3. Put quotes around cells"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        mk.read(write(tmp_path / "t.csv", content))


def test_lines_in_another_encoding_are_named(tmp_path):
    table = write(tmp_path / "t.csv", "text\ncafe\n")
    table.write_bytes(table.read_bytes() + "café\n".encode() + "café\nnaïve\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"t.csv is not UTF-8 in 2 of its lines, the first of them line 4. Save it as"):
        mk.read(table)
    assert mk.read(table, encoding="latin-1").texts("text")[2] == "café"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path, encoding):
    assert mk.read(write(tmp_path / "t.csv", "text,b\ncafé,1\n", encoding)).texts("text") == ["café"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="No table at .*nowhere.csv. The current folder is"):
        mk.read(tmp_path / "nowhere.csv")


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match="reads tables from files that end in one of"):
        mk.read(tmp_path / "t.xlsx")


@pytest.mark.parametrize("data, error", [([], ValueError), ([1], ValueError), (3, TypeError), ({}, TypeError)])
def test_what_is_no_table_is_refused(data, error):
    with pytest.raises(error, match="Received"):
        mk.read(data)


def test_a_split_is_the_same_for_the_same_seed_and_loses_nothing():
    source = mk.read([{"n": str(i)} for i in range(50)])
    first, second = source.split(test_size=0.2, seed=3)
    assert (len(first), len(second)) == (40, 10)
    assert sorted(first.texts("n") + second.texts("n")) == sorted(source.texts("n"))
    assert source.split(test_size=0.2, seed=3)[1].texts("n") == second.texts("n")
    assert source.split(test_size=0.2, seed=4)[1].texts("n") != second.texts("n")


def test_a_split_by_a_column_keeps_equal_cells_together(train):
    first, second = train.split(test_size=0.1, by="image")
    assert not set(first.texts("image")) & set(second.texts("image"))
    assert len(first) + len(second) == len(train)


def test_a_stratified_split_keeps_the_shares_of_the_labels():
    source = mk.read([{"label": "rare" if i % 10 == 0 else "often"} for i in range(100)], target="label")
    for part in source.split(test_size=0.2, stratify="label"):
        assert part.texts("label").count("rare") == len(part) // 10


@pytest.mark.parametrize("share", [0, 1, -0.5])
def test_a_share_that_is_none_is_refused(share):
    with pytest.raises(ValueError, match="`test_size` lies between 0 and 1"):
        mk.read(ROWS).split(test_size=share)
    with pytest.raises(TypeError):
        mk.read(ROWS).split(0.9)  # which of both parts is meant?


def test_selected_rows_keep_their_numbers_in_messages():
    source = mk.read([{"image": "a.png"}, {"image": "b.png"}, {"image": "c.png"}]).select([2])
    assert mk.check(source, {"image": mk.Image()}).problems[0].row == 3
    assert len(source.without({0})) == 0


def test_a_cell_of_media_that_is_neither_path_nor_bytes_is_refused():
    (problem,) = mk.check(mk.read([{"image": 3}]), {"image": mk.Image()}).problems
    assert str(problem) == (
        "rows, row 1, column 'image' (3): not a file: it is an object of type int. "
        "Fix: give the path of a file, or its bytes."
    )


def test_a_column_of_another_name_than_the_input_can_be_read():
    source = mk.read([{"Review text": "fine"}])
    assert mk.check(source, {"review": mk.Text(column="Review text")}).missing == {"Review text": 0}
