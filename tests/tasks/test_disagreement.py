import keras
import numpy as np
import pytest

import mmkeras as mk

MODALITIES = {"left": mk.Tabular(categories=["a"]), "right": mk.Tabular(categories=["b"])}
AGREEING, CONTRADICTING, ALONE, EMPTY = {"a": "x", "b": "x"}, {"a": "x", "b": "y"}, {"a": "y", "b": None}, {}


@pytest.fixture(scope="module")
def model():
    """A classifier of rows of which each of two modalities tells the label."""
    keras.utils.set_random_seed(0)
    random = np.random.default_rng(0)
    source = mk.read([{"a": label, "b": label, "label": label} for label in random.choice(["x", "y"], 200)])
    fusion = mk.fusion.Concatenation(8, modality_dropout=0.3, seed=0)
    model = mk.Classifier.from_source(source, MODALITIES, "label", fusion=fusion)
    model.fit(model.dataset(source, batch_size=20, shuffle=True), epochs=20, verbose=0)
    return model


def test_rows_whose_modalities_contradict_each_other_come_first(model):
    rows = [AGREEING, ALONE, CONTRADICTING, EMPTY, AGREEING]
    found = model.disagreement(rows)
    assert [row["index"] for row in found][0] == 2
    assert found[0]["disagreement"] > 0.7
    assert found[0]["answers"]["left"]["label"] == "x"
    assert found[0]["answers"]["right"]["label"] == "y"
    by_index = {row["index"]: row for row in found}
    assert by_index[0]["disagreement"] < 0.05
    assert by_index[1]["disagreement"] == by_index[3]["disagreement"] == 0
    assert by_index[1]["answers"].keys() == {"left"}
    assert by_index[3]["answers"] == {}
    alone = model.predict_rows([{"a": "x"}])[0]
    assert found[0]["answers"]["left"]["probability"] == pytest.approx(alone["probability"], abs=1e-6)


def test_batches_and_sources_make_no_difference(model):
    rows = [CONTRADICTING, AGREEING, ALONE] * 5
    whole = {row["index"]: row["disagreement"] for row in model.disagreement(rows)}
    parts = {row["index"]: row["disagreement"] for row in model.disagreement(mk.read(rows), batch_size=4)}
    assert whole == pytest.approx(parts, abs=1e-6)


def test_bad_cells_are_named(model):
    assert model.disagreement([]) == []
    with pytest.raises(ValueError, match="These rows cannot be answered"):
        model.disagreement([AGREEING, {"a": b"\xff", "b": "x"}])


def test_numbers_disagree_by_their_deviation():
    target = mk.targets.NumberTarget(["size"], [[10, 2]])
    outputs = {target.output_name: np.array([[[8.0], [10.0]], [[12.0], [99.0]]])}
    present = np.array([[True, True], [True, False]])
    assert target.measures.measure_disagreement(outputs, present).tolist() == [1, 0]


def test_classes_disagree_by_the_divergence_of_their_probabilities():
    target = mk.targets.ClassTarget("label", ["x", "y", "z"])
    sure = np.eye(3)[[[0, 0, 0], [1, 0, 1], [2, 0, 1]]]
    found = target.measures.measure_disagreement({target.output_name: sure}, np.ones((3, 3), bool))
    assert found[:2] == pytest.approx([1, 0])
    assert 0 < found[2] < 1
