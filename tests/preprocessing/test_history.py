import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.preprocessing import HistoryPreprocessor, RowPreprocessor
from mmkeras.testing import check_preprocessor


def test_the_last_items_are_kept_and_unknown_ones_marked():
    history = HistoryPreprocessor(sequence_length=3)
    history.adapt([("tea", "cup"), ("tea",)])
    assert history.items == ["tea", "cup"]
    batch = tf.constant([["cup", "cup", "pot", "tea"], ["tea", "", "", ""], ["", "", "", ""]])
    assert history.prepare_batch(batch)[..., 0].numpy().tolist() == [[3, 1, 2], [2, 0, 0], [0, 0, 0]]


def test_gaps_fall_into_buckets_of_doubling_length():
    history = HistoryPreprocessor(sequence_length=4, items=["a"], times=True)
    cells = [(("a", "a", "a", "a"), ("0", "0", "1", "100001")), (("a",), ("7",))]
    received = history.prepare_batch(tf.constant(history.pack(cells), tf.string))
    assert received[..., 1].numpy().tolist() == [[0, 1, 2, 17], [0, 0, 0, 0]]


@pytest.mark.parametrize("times", [False, True])
def test_all_ways_through_give_the_same(times):
    history = HistoryPreprocessor(sequence_length=3, items=["a", "b"], times=times)
    items = [("a", "b", "a", "b"), (), ("b", "x")]
    cells = [(row, tuple(str(5 * i) for i in range(len(row)))) for row in items] if times else items
    check_preprocessor(RowPreprocessor({"clicks": history}), {"clicks": history.pack(cells).tolist()})


@pytest.mark.parametrize("cell", [["3", "x y"], '["3", "x y"]', "['3', 'x y']", "[3, x y]", (3, "x y")])
def test_lists_are_read_however_they_are_written(cell):
    assert mk.read([{"clicks": cell}]).lists("clicks") == [("3", "x y")]


def test_text_is_split_at_spaces_and_nothing_is_an_empty_list():
    assert mk.read([{"c": " 1 22  3 "}, {"c": None}, {"c": ""}, {"c": []}]).lists("c") == [("1", "22", "3"), (), (), ()]


def test_problems_are_named():
    rows = [
        {"clicks": ["a", "b"], "at": [1]},
        {"clicks": ["a", "b"], "at": [2, 1]},
        {"clicks": ["a"], "at": ["noon"]},
        {"clicks": ["z"], "at": [1]},
        {"clicks": ["a"], "at": [1]},
    ]
    report = mk.check(mk.read(rows), {"clicks": mk.History(items=["a", "b"], times="at")})
    assert [(p.row, p.column, p.kind, p.rejected) for p in report.problems] == [
        (1, "at", "times do not match", True),
        (2, "at", "times out of order", True),
        (3, "at", "times out of order", True),
        (4, "clicks", "unknown items only", False),
    ]


def test_a_length_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`sequence_length` of History is at least 1"):
        mk.History(sequence_length=0)
