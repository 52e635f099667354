import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.testing import check_reload


@pytest.fixture(scope="module")
def source():
    """Rows whose two numbers, of very different units, a table and a text tell together."""
    random = np.random.default_rng(0)
    rows = []
    for _ in range(300):
        size, kind = random.uniform(0, 10), random.integers(2)
        rows.append(
            {
                "size": size,
                "kind": "big house" if kind else "small flat",
                "price": 100_000 + 20_000 * size + 50_000 * kind,
                "rooms": 0.1 * size - kind,
            }
        )
    return mk.read(rows)


@pytest.fixture(scope="module")
def modalities():
    return {"facts": mk.Tabular(numbers=["size"]), "text": mk.Text(column="kind")}


@pytest.fixture(scope="module")
def trained(source, modalities):
    keras.utils.set_random_seed(0)
    model = mk.Regressor.from_source(source, modalities, target=["price", "rooms"])
    model.fit(model.dataset(source, batch_size=20, shuffle=True), epochs=12, verbose=0)
    return model


def test_it_learns_numbers_of_different_units_and_answers_in_them(trained, source):
    metrics = trained.evaluate(trained.dataset(source), return_dict=True, verbose=0)
    assert metrics["r2_score"] > 0.9
    assert metrics["loss"] < 0.2  # of numbers that were normalized
    answers = trained.predict_rows([{"size": 5, "kind": "big house"}, {"size": 5, "kind": None}, {}])
    assert answers[0]["price"] == pytest.approx(250_000, abs=30_000)
    assert answers[0]["rooms"] == pytest.approx(-0.5, abs=0.4)
    assert all(answer.keys() == {"price", "rooms"} for answer in answers)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_the_loss_is_chosen_by_name_and_blind_to_the_unit(source, loss):
    dear = mk.read(source.table.assign(price=1000 * source.table["price"].astype(float)))
    losses = []
    for rows in (source, dear):
        keras.utils.set_random_seed(0)
        model = mk.Regressor.from_source(rows, {"facts": mk.Tabular(numbers=["size"])}, target="price", loss=loss)
        losses.append(model.fit(model.dataset(rows, batch_size=50), epochs=1, verbose=0).history["loss"][0])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_it_is_the_same_after_save_and_load_in_a_fresh_process(trained, source):
    batch, _ = next(iter(trained.dataset(source, batch_size=30)))
    check_reload(trained, {name: tensor.numpy() for name, tensor in batch.items()})


@pytest.mark.slow
def test_two_numbers_are_exported_in_all_formats(trained, source, tmp_path):
    report = mk.export(trained, tmp_path / "artifacts", rows=source)
    assert [artifact.format for artifact in report.artifacts] == [
        "saved_model",
        "tflite",
        "tflite_dynamic_range",
        "onnx",
    ]
    assert report.metrics["price_r2_score"] > 0.9
    for artifact in report.artifacts:
        assert artifact.metrics.keys() == report.metrics.keys()
    serve = tf.saved_model.load(str(tmp_path / "artifacts" / "saved_model")).signatures["serving_default"]
    outputs = serve(facts_size=tf.constant(["5"]), text=tf.constant(["big house"]))
    (answer,) = trained.predict_rows([{"size": "5", "kind": "big house"}])
    assert {name: float(outputs[name][0]) for name in answer} == pytest.approx(answer, rel=1e-5)
    signature = json.loads((tmp_path / "artifacts" / "signature.json").read_text())
    outputs = signature["serving_default"]["outputs"]
    assert outputs["values"] == {"shape": [2], "dtype": "float32"} and outputs["error"]["dtype"] == "string"
    assert list(outputs) == ["values", "price", "rooms", "error"]
    assert "mean_absolute_error" in str(report)


def test_rows_without_the_number_are_left_out_and_named(source, modalities):
    rows = source.table.astype(object).copy()
    rows.loc[3, "price"], rows.loc[5, "price"] = None, "cheap"
    model = mk.Regressor.from_source(mk.read(rows), modalities, target="price")
    with pytest.warns(UserWarning, match=r"2 of 300 rows are left out: 1 no number, 1 not a number"):
        assert sum(len(x["text"]) for x, _ in model.dataset(mk.read(rows))) == 298


def test_a_target_that_knows_no_numbers_is_refused():
    with pytest.raises(ValueError, match="give `target` as mk.targets.NumberTarget"):
        mk.Regressor({"text": mk.Text()}, "price")


def test_metrics_have_short_names(trained, source):
    values = trained.evaluate(trained.dataset(source), return_dict=True, verbose=0)
    copy = mk.Regressor.from_config(trained.get_config())
    copy.set_weights(trained.get_weights())
    copy.compile("adam", "mse", metrics=["r2", "rmse", "mae"])
    short = copy.evaluate(copy.dataset(source), return_dict=True, verbose=0)
    assert short["r2"] == pytest.approx(values["r2_score"], abs=1e-4)
    assert short["mae"] == pytest.approx(values["mae"], rel=1e-4)
    assert short["rmse"] > short["mae"]
