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
        (3, "at", "times are not numbers", True),
        (4, "clicks", "unknown items only", False),
    ]


def test_a_history_longer_than_the_model_sees_keeps_the_gap_before_its_first_item():
    history = HistoryPreprocessor(sequence_length=2, items=["a", "b"], times=True)
    cell = (("b", "a", "", " ", "a", "b"), ("0", "0", "5", "6", "7", "8"))
    whole = tf.constant(history.pack([cell], whole=True), tf.string)
    shortened = tf.constant(history.pack([cell]), tf.string)
    assert history.prepare_batch(whole).numpy().tolist() == [[[2, 4], [3, 2]]]
    assert history.prepare_batch(shortened).numpy().tolist() == [[[2, 4], [3, 2]]]
    assert shortened.shape[1] < whole.shape[1]


def test_a_batch_in_which_nobody_has_a_history():
    history = HistoryPreprocessor(sequence_length=2, items=["a"], times=True)
    packed = tf.constant(history.pack([((), ())] * 2), tf.string)
    assert not history.prepare_batch(packed).numpy().any()
    assert not history.is_present(packed).numpy().any()


@pytest.mark.parametrize(
    "items, times, kind",
    [
        (("a", "b"), ("1", "1_0"), "times are not numbers"),
        (("a", "b"), ("inf", "inf"), "times are not numbers"),
        (("a",), ("2024-01-01",), "times are not numbers"),
        (("a", "b"), ("2", "1"), "times out of order"),
        (("a", "b"), ("1", "2", "3"), "times do not match"),
        (("a", "b"), ("1",), "times do not match"),
        (("a", "", "b"), ("1", "", "2"), ""),
        (("a", "b"), ("1e3", "\u00a01000.5"), ""),
    ],
)
def test_times_are_one_rule_in_the_check_and_in_the_graph(items, times, kind):
    history = HistoryPreprocessor(items=["a", "b"], times=True)
    found = history.find_problems([(items, times)])[0]
    assert [finding.kind for finding in found] == ([kind] if kind else [])
    assert history.find_errors(history.pack([(items, times)]).astype(str)).numpy().tolist() == [[b"", kind.encode()]]


def test_a_length_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`sequence_length` of History is at least 1"):
        mk.History(sequence_length=0)
