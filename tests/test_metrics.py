"""Metrics by name, on the integer labels of a classifier, against their formulas."""

import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.metrics import fit_labels

RANDOM = np.random.default_rng(0)
LABELS = RANDOM.choice(3, 60, p=[0.7, 0.2, 0.1])
SCORES = RANDOM.random((60, 3)) + 0.6 * np.eye(3)[LABELS]
PROBABILITIES = (SCORES / SCORES.sum(axis=1, keepdims=True)).astype("float32")
ANSWERS = PROBABILITIES.argmax(axis=1)


def compute_macro_f1():
    scores = []
    for c in range(3):
        right = np.sum((LABELS == c) & (ANSWERS == c))
        scores.append(2 * right / (np.sum(LABELS == c) + np.sum(ANSWERS == c)))
    return np.mean(scores)


def measure(name, labels, probabilities, weights=None, batch=25):
    metric = fit_labels(name)
    for start in range(0, len(labels), batch):
        part = slice(start, start + batch)
        metric.update_state(labels[part], probabilities[part], None if weights is None else weights[part])
    assert metric.name == name
    return metric.result()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("balanced_accuracy", np.mean([np.mean(ANSWERS[LABELS == c] == c) for c in range(3)])),
        ("macro_f1", compute_macro_f1()),
        ("log_loss", -np.mean(np.log(PROBABILITIES[np.arange(60), LABELS]))),
    ],
)
def test_metrics_follow_their_formulas(name, expected):
    assert float(measure(name, LABELS, PROBABILITIES)) == pytest.approx(expected, abs=1e-5)


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    labels, scores = (LABELS > 0).astype(int), 1 - PROBABILITIES[:, 0]
    pairs = scores[labels == 1][:, None] > scores[labels == 0][None]
    received = measure("auroc", labels, np.stack([1 - scores, scores], axis=1))
    assert float(received) == pytest.approx(pairs.mean(), abs=5e-3)  # Keras counts at 200 thresholds


def test_balanced_accuracy_weighs_rows_and_leaves_out_classes_without_any():
    probabilities = np.array([[0.9, 0.1, 0], [0.2, 0.8, 0], [0.8, 0.2, 0]], "float32")
    assert float(measure("balanced_accuracy", np.array([0, 1, 1]), probabilities)) == pytest.approx(0.75)
    weights = np.array([1.0, 3.0, 1.0])
    assert float(measure("balanced_accuracy", np.array([0, 1, 1]), probabilities, weights)) == pytest.approx(0.875)
    metric = fit_labels("balanced_accuracy")
    metric.update_state(np.array([0]), probabilities[:1])
    metric.reset_state()
    assert float(metric.result()) == 0


def test_a_model_keeps_its_metrics_when_it_is_saved(tmp_path):
    names = ["accuracy", "auroc", "balanced_accuracy", "macro_f1", "log_loss"]
    source = mk.read([{"a": "xy"[i % 2], "label": "pq"[i % 2]} for i in range(16)], target="label")
    model = mk.Classifier.from_source(source, {"a": mk.Tabular(categories=["a"])})
    model.compile(model.optimizer, model.loss, metrics=names)
    model.fit(model.dataset(source, 4), epochs=20, verbose=0)
    before = model.evaluate(model.dataset(source), verbose=0, return_dict=True)
    assert set(before) == {"loss", *names} and before["balanced_accuracy"] == before["macro_f1"] == 1
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    after = loaded.evaluate(loaded.dataset(source), verbose=0, return_dict=True)
    assert after == pytest.approx(before, abs=1e-6)
