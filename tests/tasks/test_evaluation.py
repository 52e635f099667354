import numpy as np
import pytest

import mmkeras as mk
from mmkeras.targets import ClassTarget


@pytest.fixture(scope="module")
def rows():
    random = np.random.default_rng(0)
    return [
        {
            "size": (size := random.uniform(0, 10)),
            "words": random.choice(["big", "small"]),
            "label": "no" if size < 7 else "yes",
            "price": 3 * size,
        }
        for _ in range(120)
    ]


@pytest.fixture(scope="module")
def model(rows):
    modalities = {"facts": mk.Tabular(numbers=["size"]), "text": mk.Text(column="words")}
    model = mk.Classifier.from_source(mk.read(rows), modalities, "label")
    model.fit(model.dataset(mk.read(rows), 16, shuffle=True), epochs=10, verbose=0)
    return model


def test_it_says_what_a_modality_and_a_constant_would_do(model, rows):
    evaluation = model.evaluate_rows(mk.read(rows))
    table = evaluation.table
    assert list(table.index) == ["model", "facts alone", "text alone", "best constant"]
    share = np.mean([row["label"] == "no" for row in rows])
    assert table.loc["best constant", "accuracy"] == pytest.approx(share)
    assert table.loc["best constant", "auroc"] == 0.5 == table.loc["best constant", "balanced_accuracy"]
    expected = model.evaluate(model.dataset(mk.read(rows)), return_dict=True, verbose=0)
    assert table.loc["model", "accuracy"] == pytest.approx(expected["accuracy"])
    assert table.loc["model", "accuracy"] > 0.9 and table.loc["text alone", "accuracy"] < 0.8
    counts = evaluation.confusions["label"]
    assert counts.to_numpy().sum() == evaluation.rows == 120
    assert np.trace(counts.to_numpy()) / 120 == pytest.approx(expected["accuracy"])
    text = str(evaluation)
    low, high = evaluation.low.loc["model", "accuracy"], evaluation.high.loc["model", "accuracy"]
    accuracy = table.loc["model", "accuracy"]
    assert low < accuracy < high or low == accuracy == high == 1
    share_low, share_high = (
        evaluation.low.loc["best constant", "accuracy"],
        evaluation.high.loc["best constant", "accuracy"],
    )
    # That of a share is known: the normal distribution of the mean of as many rows.
    error = 1.96 * np.sqrt(share * (1 - share) / 120)
    assert share - share_low == pytest.approx(error, abs=0.02) and share_high - share == pytest.approx(error, abs=0.02)
    assert f"accuracy {low:.4f} to {high:.4f}" in text
    assert "120 rows" in text and "best constant" in text and "label: true (down) by answered (across)" in text


def test_metrics_are_those_of_their_formulas():
    target = ClassTarget("label", ["a", "b", "c"])
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.2, 0.3, 0.5]], "float32")
    metrics = target.measures.measure_all({"probabilities": probabilities}, np.array([0, 1, 0, 0]))
    assert metrics["accuracy"] == 0.5
    assert metrics["balanced_accuracy"] == pytest.approx((1 / 3 + 1) / 2)
    assert metrics["macro_f1"] == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert metrics["log_loss"] == pytest.approx(-np.log([0.7, 0.8, 0.3, 0.2]).mean(), rel=1e-5)
    assert metrics["auroc"] == pytest.approx((1.0 + 1.0) / 2)


def test_rows_without_labels_are_refused(model, rows):
    unlabeled = [{key: value for key, value in row.items() if key != "label"} for row in rows[:3]]
    with pytest.raises(ValueError, match=r"to measure on have no \['label'\]"):
        model.evaluate_rows(mk.read(unlabeled))


def test_numbers_are_measured_against_their_mean(rows):
    model = mk.MultiTask.from_source(
        mk.read(rows), {"facts": mk.Tabular(numbers=["size"])}, ["label", mk.targets.NumberTarget("price")]
    )
    rows = [{**row, "label": None if index % 2 else row["label"]} for index, row in enumerate(rows)]
    evaluation = model.evaluate_rows(mk.read(rows))
    assert list(evaluation.table.index) == ["model", "best constant"]
    prices = np.array([row["price"] for row in rows])
    assert evaluation.table.loc["best constant", "price_r2_score"] == pytest.approx(0, abs=1e-6)
    deviation = np.abs(prices - prices.mean()).mean()
    assert evaluation.table.loc["best constant", "price_mean_absolute_error"] == pytest.approx(deviation, rel=1e-4)
    assert evaluation.confusions["label"].to_numpy().sum() == 60


def test_class_weights_make_classes_count_alike():
    rows = [{"a": str(index), "label": "rare" if index < 5 else "usual"} for index in range(50)] + [{"a": "x"}]
    source = mk.read(rows)
    model = mk.Classifier.from_source(source, {"a": mk.Text()}, "label")
    with pytest.warns(UserWarning, match="1 of 51 rows are left out"):
        batches = model.dataset(source, 16)
    weights = model.class_weights(source)
    assert weights == {0: 5.0, 1: pytest.approx(50 / 90)}
    assert 5 * weights[0] + 45 * weights[1] == pytest.approx(50)
    loss = model.fit(batches, class_weight=weights, verbose=0).history["loss"][0]
    assert np.isfinite(loss)
    third = mk.Classifier.from_source(source, {"a": mk.Text()}, "label", classes=["lost", "rare", "usual"])
    assert third.class_weights(source) == {0: 0.0, 1: 5.0, 2: pytest.approx(50 / 90)}
