import numpy as np
import pytest

from mmkeras.targets import NumberTarget

OUTPUTS = {"values": np.array([[10.0, 1.0], [20.0, 3.0]], "float32")}
TARGET = NumberTarget(["price", "size"], [[15, 5], [2, 1]])


def test_mean_and_deviation_are_learned_from_the_rows_that_have_all_numbers():
    target = NumberTarget(["a", "b"])
    target.adapt([("10", 1), (30, "3"), ("", 100), ("x", 7)])
    assert target.statistics == [[20.0, 10.0], [2.0, 1.0]]


def test_a_constant_column_is_divided_by_one():
    target = NumberTarget("a")
    target.adapt([5, 5])
    assert target.statistics == [[5.0, 1.0]]


def test_the_loss_compares_normalized_numbers():
    truth, output = TARGET.prepare_loss(np.array([[15.0, 3.0]]), np.array([[20.0, 2.0]], "float32"))
    assert truth.numpy().tolist() == [[0.0, 1.0]]
    assert output.numpy().tolist() == [[1.0, 0.0]]


def test_logits_become_numbers_in_the_units_of_their_columns():
    values = TARGET.activate(np.array([[0.0, 0.0], [1.0, -1.0]]), name="values")
    assert values.numpy().tolist() == [[15.0, 2.0], [20.0, 1.0]]


def test_answers_have_the_names_of_the_columns():
    assert TARGET.describe(OUTPUTS) == [{"price": 10.0, "size": 1.0}, {"price": 20.0, "size": 3.0}]


def test_metrics_are_in_the_units_of_the_columns():
    metrics = TARGET.measures.measure(OUTPUTS, np.array([[12.0, 1.0], [20.0, 5.0]], "float32"))
    assert metrics["price_mean_absolute_error"] == 1.0
    assert metrics["size_mean_squared_error"] == 2.0
    assert metrics["price_r2_score"] == pytest.approx(1 - 2 / 16)
    single = NumberTarget("a", [[0, 1]]).measures.measure({"values": np.ones((2, 1))}, np.array([[1.0], [3.0]]))
    assert set(single) == {"mean_absolute_error", "mean_squared_error", "r2_score"}


def test_an_answer_is_the_same_within_a_twentieth_of_the_deviation():
    received = {"values": OUTPUTS["values"] + np.array([[0.2, 0.04], [0.2, 0.06]], "float32")}
    assert TARGET.same_answer(OUTPUTS, received).tolist() == [True, False]


def test_problems_name_the_column():
    found = TARGET.find_problems([("1", "2"), ("1,5", None), (True, "inf")])
    assert [[(finding.part, finding.kind) for finding in findings] for findings in found] == [
        [],
        [(0, "not a number"), (1, "no number")],
        [(0, "not a number"), (1, "not a number")],
    ]


@pytest.mark.parametrize("columns", [[], ["a", "a"]])
def test_columns_that_cannot_be_predicted_are_refused(columns):
    with pytest.raises(ValueError, match="A regressor predicts at least one column, each once"):
        NumberTarget(columns)


def test_without_numbers_there_is_nothing_to_learn():
    with pytest.raises(ValueError, match=r"at least two rows with numbers in \['a'\]"):
        NumberTarget("a").adapt(["x", 1])
