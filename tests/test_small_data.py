"""Training on very little: every kind of smallness gives a model, or says what is lacking."""

import numpy as np
import pytest

import mmkeras as mk

TABLE = {"facts": mk.Tabular(numbers=["size"], categories=["kind"], encoder=mk.encoders.TabularMLP(units=8))}


def make_rows(labels, **constants):
    return [
        {"size": index % 7, "kind": "xyz"[index % 3], "label": label, **constants} for index, label in enumerate(labels)
    ]


def fit(rows, batch_size=32, modalities=TABLE, **arguments):
    model = mk.Classifier.from_source(mk.read(rows), modalities, "label", **arguments)
    history = model.fit(model.dataset(mk.read(rows), batch_size, shuffle=True), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    return model


def test_twenty_rows_with_a_class_of_one_are_split_trained_and_measured():
    rows = mk.read(make_rows(["a"] * 12 + ["b"] * 7 + ["once"]))
    train, test = rows.split(test_size=0.2, stratify="label")
    assert "once" in train.texts("label") and "once" not in test.texts("label")
    assert sorted(set(test.texts("label"))) == ["a", "b"]
    model = mk.Classifier.from_source(train, TABLE, "label")
    model.fit(model.dataset(train, 4), validation_data=model.dataset(test), epochs=2, verbose=0)
    evaluation = model.evaluate_rows(test)
    assert np.isfinite(evaluation.table.to_numpy()).all()  # although the test lacks a class
    assert evaluation.confusions["label"].loc["once"].sum() == 0


def test_fewer_rows_than_a_batch_are_one_step():
    model = fit(make_rows("aabba"), batch_size=64)
    assert int(model.optimizer.iterations) == 2
    assert float(model.optimizer.learning_rate) == pytest.approx(0, abs=1e-6)


def test_more_classes_than_rows_are_possible():
    assert fit(make_rows("abcde")).classes == list("abcde")
    assert len(fit(make_rows("ab"), classes=[chr(97 + index) for index in range(26)]).classes) == 26


def test_labels_that_are_all_the_same_are_refused_before_training():
    with pytest.raises(ValueError, match="'label', which holds fewer than two different labels in 20 rows.*\\['a'\\]"):
        fit(make_rows("a" * 20))


def test_a_constant_column_is_named_and_ignored():
    table = {"facts": mk.Tabular(numbers=["size", "year"], encoder=mk.encoders.TabularMLP(units=8))}
    with pytest.warns(UserWarning, match="The columns \\['year'\\] have the same value in all rows"):
        model = fit(make_rows("ab" * 30, year=2024), modalities=table)
    answers = [model.predict_rows([{"size": 3, "year": year}])[0]["probability"] for year in (2024, "2024.0")]
    assert answers[0] == answers[1]
