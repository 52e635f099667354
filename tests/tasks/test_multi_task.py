import keras
import numpy as np
import pytest

import mmkeras as mk
from mmkeras.testing import check_reload

TARGETS = ["color", mk.targets.NumberTarget("price"), mk.targets.ClassTarget("kind", ["flat", "house"])]
MODALITIES = {"facts": mk.Tabular(numbers=["size"]), "text": mk.Text(column="words")}


def make_rows(count, seed=0):
    """A number and a text tell three answers; each row has the label of one or two of them."""
    random = np.random.default_rng(seed)
    rows = []
    for index in range(count):
        size, color, kind = random.uniform(0, 10), random.integers(3), random.integers(2)
        row = {
            "size": size,
            "words": f"a {'big' if kind else 'small'} thing, {('ruby', 'grass', 'sky')[color]}",
            "color": ("red", "green", "blue")[color],
            "price": 100_000 + 20_000 * size,
            "kind": ("flat", "house")[kind],
        }
        row[("color", "price", "kind")[index % 3]] = None
        if index % 2:
            row[("color", "price", "kind")[(index + 1) % 3]] = ""
        rows.append(row)
    return rows


@pytest.fixture(scope="module")
def source():
    return mk.read(make_rows(400))


@pytest.fixture(scope="module")
def trained(source):
    keras.utils.set_random_seed(0)
    model = mk.MultiTask.from_source(source, MODALITIES, TARGETS, alignment_weight=0.01)
    model.fit(model.dataset(source, 20, shuffle=True), epochs=10, verbose=0)
    return model


def test_rows_that_lack_labels_teach_the_others(trained):
    rows = make_rows(90, seed=1)
    metrics = trained.evaluate(trained.dataset(mk.read(rows)), return_dict=True, verbose=0)
    assert metrics["color_accuracy"] > 0.95 and metrics["kind_accuracy"] > 0.95 and metrics["price_r2_score"] > 0.9
    answers = trained.predict_rows(rows)
    assert answers[0].keys() == {"color", "color_probability", "price", "kind", "kind_probability"}
    known = [(row["color"], answer["color"]) for row, answer in zip(rows, answers, strict=True) if row["color"]]
    assert len(known) < 60
    assert metrics["color_accuracy"] == pytest.approx(np.mean([truth == answer for truth, answer in known]))


def test_a_missing_label_changes_neither_loss_nor_gradient(source):
    """Whatever stands in its place."""
    keras.utils.set_random_seed(0)
    model = mk.MultiTask.from_source(source, MODALITIES, TARGETS)
    inputs, truth = next(iter(model.dataset(source, 12)))
    truth = {name: labels.numpy() for name, labels in truth.items()}
    assert truth["color"][0] == -1 and np.isnan(truth["price"][1]).all() and truth["kind"][2] == -1
    outputs = model(inputs)
    known = truth["color"] >= 0
    expected = -np.log(outputs["color"].numpy()[np.arange(12), truth["color"]])[known].sum() / 12
    model.compile("adam", {**model.target.default_loss}, loss_weights={"color": 1.0, "price": 0.0, "kind": 0.0})
    assert float(model.compute_loss(inputs, truth, outputs, training=False)) == pytest.approx(expected, rel=1e-4)


def test_metrics_and_losses_are_chosen_by_name(source):
    model = mk.MultiTask.from_source(source, MODALITIES, TARGETS)
    model.compile("adam", model.target.default_loss, metrics={"color": ["macro_f1", "accuracy"], "price": "rmse"})
    metrics = model.evaluate(model.dataset(source), return_dict=True, verbose=0)
    assert {"color_macro_f1", "color_accuracy", "price_rmse"} <= metrics.keys()
    assert np.isfinite(list(metrics.values())).all()


def test_it_survives_saving(trained, source):
    inputs, _ = next(iter(trained.dataset(source, 8)))
    check_reload(trained, {name: tensor.numpy() for name, tensor in inputs.items()})


@pytest.mark.slow
def test_every_artifact_answers_as_the_model_does(trained, source, tmp_path):
    report = mk.export(trained, tmp_path / "artifacts", ["saved_model", "tflite", "onnx"], rows=source)
    assert {artifact.format: artifact.agreement for artifact in report.artifacts} == {
        "saved_model": 1.0,
        "tflite": 1.0,
        "onnx": 1.0,
    }
    metrics = report.artifacts[0].metrics
    assert metrics["color_accuracy"] > 0.95 and metrics["price_r2_score"] > 0.9
    assert (tmp_path / "artifacts" / "color_labels.json").exists()


def test_answers_of_single_modalities_are_compared(trained):
    (row,) = trained.disagreement([{"size": 5, "words": "a big thing, sky"}])
    assert row["answers"]["text"]["color"] == "blue" and 0 <= row["disagreement"] <= 1
    (answer,) = trained.predict_rows([{"size": 5, "words": "a big thing, sky"}], top=2)
    assert list(answer["color_probabilities"])[0] == "blue" and len(answer["kind_probabilities"]) == 2


def test_a_bad_label_is_named_and_a_row_without_any_is_left_out():
    rows = make_rows(30)
    rows[1] |= {"kind": "castle"}
    rows[2] |= {"color": None, "price": None, "kind": None}
    rows[3] |= {"price": "dear", "color": "red"}
    target = mk.targets.MultiTarget(TARGETS)
    target.adapt(mk.read(make_rows(30)).values(target.columns))
    report = mk.check(mk.read(rows), {}, target)
    assert [(p.row, p.column, p.kind) for p in report.problems] == [
        (2, "kind", "unknown label"),
        (3, "color", "no label"),
        (4, "price", "not a number"),
    ]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (["color"], "at least two, of different names. Received: targets=\\['color'\\]"),
        (["color", "color"], "at least two, of different names"),
        (["color", "my kind"], "Give a dict from names to targets. Received: \\['my kind'\\]"),
        ({"a": "color", "b": "color"}, "Each answer has a name of its own"),
        ("color", "names at least two targets.*Received: 'color'"),
    ],
)
def test_targets_that_do_not_go_together_are_refused(targets, message):
    with pytest.raises(ValueError, match=message):
        mk.MultiTask(MODALITIES, targets)


def test_what_it_predicts_is_known_before_it_is_built():
    with pytest.raises(ValueError, match="from_source`. Received: targets \\['color', 'price', 'kind'\\]"):
        mk.MultiTask(MODALITIES, TARGETS)
    with pytest.raises(ValueError, match="joins answers that are one class each, and MultiTask predicts others"):
        mk.MultiTask.from_source(mk.read(make_rows(30)), MODALITIES, TARGETS, fusion="majority_vote")
