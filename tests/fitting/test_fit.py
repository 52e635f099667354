"""`mk.fit` from a table to a model and a report, and on again after an interruption."""

import json
import re

import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.fitting.trials import Trainer

pytestmark = pytest.mark.slow

MODALITIES = {"word": mk.Text(encoder=mk.encoders.TextCNN(units=16)), "size": mk.Tabular(numbers=["size"])}
ARGUMENTS = dict(target="label", modalities=MODALITIES, fusions=["gated"], seed=1)


def make_rows(count=300):
    """The label is odd where just one of word and size says so: neither of them tells anything alone."""
    random = np.random.default_rng(0)
    rows = []
    for word, size in random.integers(0, 2, (count, 2)):
        noise = float(random.normal(scale=0.1))
        rows.append({"word": ["red", "blue"][word], "size": size + noise, "label": ["even", "odd"][word ^ size]})
    return rows


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    return mk.fit(make_rows(), folder=folder, time_limit=60, **ARGUMENTS), folder


def test_it_finds_what_only_fusing_tells(found):
    model, _ = found
    report = model.report
    assert isinstance(model, mk.Classifier) and sorted(model.modalities) == ["size", "word"]
    table = report.trials.set_index("model")
    assert report.metric == "accuracy"
    assert list(table.index)[0] == "gated of all" and table.loc["gated of all", "accuracy"] > 0.9
    assert table.loc[["word", "size"], "accuracy"].max() < 0.75
    assert (table["low"] <= table["accuracy"]).all() and (table["accuracy"] <= table["high"]).all()
    assert re.match(r"Fusing helped: accuracy .* by 'gated of all' against .*\(95 % interval \+", report.sentence)
    assert report.rows == (240, 60)


def test_the_figures_are_those_of_the_model_that_is_returned(found):
    model, _ = found
    source = mk.read(make_rows(), target="label")
    _, validation = source.split(test_size=0.2, stratify="label", seed=1)
    again = model.evaluate_rows(validation).table
    assert again.loc["model", "accuracy"] == pytest.approx(model.report.trials["accuracy"].iloc[0])
    np.testing.assert_allclose(again, model.report.evaluation.table, atol=1e-6)


def test_the_report_shows_rows_curves_and_calibration(found):
    report = found[0].report
    assert list(report.worst.columns) == [
        "row",
        "label",
        "word",
        "size",
        "answer: label",
        "answer: probability",
        "error",
    ]
    assert len(report.worst) == 10 and report.worst["error"].is_monotonic_decreasing
    first = report.worst.iloc[0]
    assert first["label"] == make_rows()[first["row"] - 1]["label"]
    assert report.calibration["label"]["rows"].sum() == 60
    curve = report.curves["gated of all"]
    assert len(curve["val_accuracy"]) == len(curve["loss"]) == report.trials["epochs"].iloc[0]
    assert {d.what for d in report.decisions} >= {"task", "input 'word'", "metric", "validation rows", "fusions"}


def test_the_page_is_one_file_with_everything_in_it(found):
    page = (found[1] / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=['\"]?(https?:|//|[\w./]+\.(png|css|js))", page)
    assert page.count("data:image/png") == 3
    for text in (
        "Fusing helped",
        "Learning curves",
        "truth and answer",
        "most wrong",
        "What was decided",
        "best constant",
    ):
        assert text in page


def test_the_saved_model_is_the_returned_one(found):
    model, folder = found
    loaded = keras.saving.load_model(folder / "model.keras")
    rows = make_rows(20)
    assert loaded.predict_rows(rows) == model.predict_rows(rows)


def test_a_folder_with_results_is_not_written_over(found):
    with pytest.raises(ValueError, match="holds what mk.fit has found before. To go on with it: mk.fit.*resume="):
        mk.fit(make_rows(), folder=found[1], **ARGUMENTS)
    with pytest.raises(ValueError, match="another search: it has another seed"):
        mk.fit(make_rows(), resume=found[1], **{**ARGUMENTS, "seed": 2})


def test_what_was_trained_is_not_trained_again(found, monkeypatch, capsys):
    monkeypatch.setattr(Trainer, "begin", lambda *_: pytest.fail("it trains again"))
    model = mk.fit(make_rows(), resume=found[1], **ARGUMENTS)
    capsys.readouterr()
    columns = ["model", "accuracy", "low", "high", "epochs"]
    assert model.report.trials[columns].equals(found[0].report.trials[columns])
    assert model.report.sentence == found[0].report.sentence


def test_an_interruption_keeps_the_best_and_is_gone_on_from(tmp_path, monkeypatch):
    finished, finish = [], Trainer.finish

    def interrupt_the_second(trainer, trial, *rest):
        if len(finished) == 1:
            raise KeyboardInterrupt
        finish(trainer, trial, *rest)
        finished.append(trial.name)

    monkeypatch.setattr(Trainer, "finish", interrupt_the_second)
    arguments = {**ARGUMENTS, "modalities": {**MODALITIES, "size": mk.Tabular(["size"])}, "time_limit": 40}
    model = mk.fit(make_rows(60), resume=tmp_path, **arguments)
    assert finished == ["word"] and list(model.modalities) == ["word"]
    assert model.report.was_interrupted and (tmp_path / "report.html").exists()
    assert [trial["status"] for trial in json.loads((tmp_path / "fit.json").read_text())["trials"]] == [
        "trained",
        "interrupted",
    ]
    monkeypatch.setattr(Trainer, "finish", lambda *args: (finish(*args), finished.append(args[1].name)))
    model = mk.fit(make_rows(60), resume=tmp_path, **{**arguments, "time_limit": 60})
    assert finished == ["word", "size", "gated of all"]
    assert not model.report.was_interrupted


def test_a_model_that_fails_is_a_row_with_its_reason(capsys):
    class Careless(mk.encoders.TabularMLP):
        def encode(self, *_):
            raise RuntimeError("it was written in a hurry")

    rows = [{"a": i % 2, "b": i % 3, "label": "xy"[i % 2]} for i in range(60)]
    parts = {"a": mk.Tabular(["a"]), "b": mk.Tabular(["b"], encoder=Careless())}
    model = mk.fit(rows, "label", parts, time_limit=5)
    table = model.report.trials.set_index("model")
    assert "it was written in a hurry" in table.loc["b", "why"]
    assert list(model.modalities) == ["a"] and "Nothing was fused." in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="No model could be trained.\n  b: .*in a hurry"):
        mk.fit(rows, "label", {"b": parts["b"]}, time_limit=5)


def test_a_time_that_is_shorter_than_an_epoch_is_told(capsys):
    rows = [{"a": i % 7, "b": "xyz"[i % 3], "label": "uv"[i % 2]} for i in range(400)]
    parts = {"a": mk.Tabular(["a"]), "b": mk.Tabular(categories=["b"])}
    model = mk.fit(rows, "label", parts, time_limit=0.01)
    (doubt,) = model.report.doubts
    assert doubt.startswith("'a', 'b' saw a part of the training rows once: 0.01 s are less than an epoch takes.")
    assert "after a part of the first epoch, all of which takes" in capsys.readouterr().out
    table = model.report.trials.set_index("model")
    assert "there is no time for it" in [*table["why"]]
    assert model.predict_rows(rows[:1])[0]["label"] in ("u", "v")


def test_numbers_are_predicted_with_residuals(tmp_path):
    rows = [{"a": i % 7, "b": "xyz"[i % 3], "price": 3.0 * (i % 7) + i % 3 + 0.01 * (i % 5)} for i in range(200)]
    model = mk.fit(rows, "price", time_limit=20)
    assert isinstance(model, mk.Regressor) and model.report.metric == "r2_score"
    assert model.report.trials["r2_score"].iloc[0] > 0.8
    assert len(model.report.residuals["price"]) == model.report.rows[1]
    model.report.write_page(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count("data:image/png") == 2


def test_several_targets_at_once():
    rows = [{"a": i % 4, "color": ["red", "blue"][i % 2], "size": "sml"[i % 3] if i % 5 else None} for i in range(120)]
    model = mk.fit(rows, ["color", "size"], time_limit=10)
    assert isinstance(model, mk.MultiTask) and model.report.metric == "mean score"
    assert set(model.report.evaluation.confusions) == {"color", "size"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "labl"}, "no column 'labl'.*Did you mean 'label'"),
        ({"target": None}, "has no target column"),
        ({"ignore": ["sise"]}, "name columns of rows. Did you mean 'size'"),
        ({"group": "user"}, "name columns of rows.*Received: 'user'"),
        ({"metric": "acuracy"}, "`metric` is one of .* Did you mean 'accuracy'"),
        ({"fusions": ["gatd"]}, "Did you mean 'gated'"),
        ({"time_limit": 0}, "`time_limit` is a number of seconds. Received: time_limit=0"),
        ({"modalities": {"word": []}}, "An input has a modality, or several to choose from"),
        ({"ignore": ["word", "size"]}, "no column that a model could read"),
        ({"folder": "a", "resume": "b"}, "`resume` is the folder that is written to"),
    ],
)
def test_what_cannot_be_done_is_refused_before_any_training(arguments, message):
    with pytest.raises(ValueError, match=message):
        mk.fit(make_rows(40), **{"target": "label", **arguments})


def test_twenty_rows_are_enough():
    model = mk.fit(make_rows(20), "label", {"size": mk.Tabular(["size"])}, time_limit=10)
    assert model.report.rows == (16, 4) and model.report.trials["epochs"].iloc[0] > 1


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="at least 20 usable rows. Received: 10 of 10"):
        mk.fit(make_rows(10), "label")
