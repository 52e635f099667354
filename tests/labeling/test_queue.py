import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.labeling import (
    LabeledTable,
    LabelingQueue,
    Predictions,
    choose_rows,
    find_contradictions,
    order_rows,
    predict,
)


@pytest.fixture
def table(tmp_path):
    (tmp_path / "table.csv").write_text("text,label\na,\nb,yes\nc,\nd, \n")
    return LabeledTable(tmp_path / "table.csv", "label")


def test_rows_without_a_label_come_in_the_order_of_the_table(table):
    assert choose_rows(table.labels) == [0, 2, 3]
    assert choose_rows(table.labels, all_rows=True) == [0, 2, 3, 1]
    assert choose_rows(table.labels, contradictions=True) == [1]


def test_the_smallest_margin_comes_first_and_rows_without_an_answer_last():
    probabilities = np.array([[np.nan] * 3, [0.4, 0.2, 0.4], [0.5, 0.5, 0.0], [0.8, 0.1, 0.1], [0.45, 0.4, 0.15]])
    assert order_rows([0, 1, 3, 4], Predictions("abc", probabilities)) == [1, 4, 3, 0]


def test_confident_contradictions_come_by_their_gap():
    # Thresholds: a (0.9 + 0.7 + 0.2) / 3 = 0.6, b (0.8 + 0.4 + 0.1) / 3 = 0.43
    a = np.array([0.9, 0.7, 0.2, 0.2, 0.6, 0.9])
    labels = ["a", "a", "a", "b", "b", "b"]
    predictions = Predictions(["a", "b"], np.stack([a, 1 - a], axis=1))
    assert find_contradictions(range(6), labels, predictions) == [5, 2, 4]


def test_rows_that_the_model_cannot_judge_are_not_contradicted():
    predictions = Predictions(["a", "b"], np.array([[np.nan, np.nan], [0.1, 0.9]]))
    assert find_contradictions([0, 1], ["a", "c"], predictions) == []


def test_labels_are_written_skipped_rows_come_again_and_steps_are_taken_back(table):
    queue = LabelingQueue(table, [0, 2, 3], classes=["no"])
    assert (queue.classes, queue.labeled_count, queue.left_count) == (["no", "yes"], 1, 3)
    assert queue.first() == 0
    assert queue.label(0, " maybe ") == 2
    assert queue.classes == ["no", "yes", "maybe"]
    assert queue.skip(2) == 3
    assert queue.label(3, "no") == 2
    assert table.labels == ["maybe", "yes", "", "no"]
    assert queue.label(2, "yes") is None
    assert (queue.labeled_count, queue.left_count, queue.first()) == (4, 0, None)
    assert [queue.back() for _ in range(5)] == [2, 3, 2, 0, None]
    assert table.output.read_text() == "text,label\na,\nb,yes\nc,\nd, \n"
    assert queue.left_count == 3


def test_what_cannot_be_a_label_is_refused(table):
    queue = LabelingQueue(table, [0])
    with pytest.raises(ValueError, match="at least one character"):
        queue.label(0, "  ")
    with pytest.raises(ValueError, match="not among those to label. Received: row=1"):
        queue.label(1, "no")
    assert table.labels[:2] == ["", "yes"]


def test_a_saved_model_answers_the_rows_it_is_asked_about(tmp_path):
    (tmp_path / "table.csv").write_text("image,label\n,cat\nnowhere.png,\n,\n")
    source = LabeledTable(tmp_path / "table.csv", "label").source
    model = mk.Classifier({"image": mk.Image(size=16)}, classes=["cat", "dog"])
    model.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="1 of 2 rows are left out: 1 file not found"):
        predictions = predict(tmp_path / "model.keras", source, [1, 2])
    np.testing.assert_array_equal(np.isnan(predictions.probabilities[:, 0]), [True, True, False])
    expected = model.predict_rows([{"image": None}])[0]
    assert predictions.best(2, 1) == [(expected["label"], pytest.approx(expected["probability"], abs=1e-6))]
    assert predictions.best(1) == []


def test_another_model_or_none_is_a_sentence(tmp_path):
    source = mk.read([{"image": ""}])
    with pytest.raises(FileNotFoundError, match="No model at"):
        predict(tmp_path / "model.keras", source, [0])
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(tmp_path / "other.keras")
    with pytest.raises(TypeError, match="Proposals come from a saved mk.Classifier. Received: a Sequential"):
        predict(tmp_path / "other.keras", source, [0])
