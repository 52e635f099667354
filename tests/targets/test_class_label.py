import json
import warnings

import numpy as np
import pandas as pd
import pytest

import mmkeras as mk
from mmkeras.targets import ClassTarget

ROWS = [{"text": word, "label": label} for word, label in zip("abcd" * 3, ["x", "y"] * 6, strict=True)]


def learn(cells):
    target = ClassTarget()
    target.adapt(cells)
    return target.classes


def test_numbers_are_sorted_as_numbers_and_all_else_as_text():
    assert learn([10, 9, 2]) == ["2", "9", "10"]
    assert learn(["10", "9", "-2"]) == ["-2", "9", "10"]
    assert learn(["10", "9", "b"]) == ["10", "9", "b"]


def test_an_integer_is_one_class_however_pandas_writes_it():
    beside_missing = pd.DataFrame({"label": [0, 1, None]})["label"].tolist()
    assert learn(beside_missing) == ["0", "1"]
    target = ClassTarget(classes=["0", "1"])
    assert target.encode([0, 0.0, "0", "0.0", np.int64(1), np.float32(1), " 1 "]).tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_booleans_are_the_classes_false_and_true():
    assert learn([True, np.True_, False]) == ["False", "True"]


def test_spaces_around_are_not_part_of_a_label_and_blank_is_missing():
    assert learn([" cat", "cat\u3000", "dog\n", "\u00a0", "", None, float("nan"), pd.NA]) == ["cat", "dog"]


def test_given_classes_fix_the_order():
    target = ClassTarget(classes=["low", "mid", 3])
    assert target.classes == ["low", "mid", "3"]
    assert target.encode(["mid", 3.0]).tolist() == [1, 2]


def test_a_list_is_never_made_a_class():
    with pytest.raises(ValueError, match=r"column 'label' holds lists.*Received: \['a', 'b'\]"):
        learn([["a", "b"], "a", "b"])
    found = ClassTarget(classes=["a", "b"]).find_problems([["a"], ("a",), "a"])
    assert [[finding.kind for finding in findings] for findings in found] == [["no label"], ["no label"], []]


@pytest.mark.parametrize("cells", [list(range(310)), [0.5, 1.5, 2.0], ["0.25", "1", "2"]])
def test_a_column_of_numbers_gets_a_warning_that_names_the_regressor(cells):
    with pytest.warns(UserWarning, match=r"holds \d+ different numbers, .* To predict the number: mk.Regressor"):
        learn(cells)


def test_a_few_integers_are_classes_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert learn(list(range(10)) * 3) == [str(i) for i in range(10)]
        ClassTarget(classes=range(310))


def test_problems_are_named_with_the_nearest_label():
    found = ClassTarget(classes=["blue", "red"]).find_problems(["blu", None, "red", "zzz"])
    assert [finding.kind for findings in found for finding in findings] == [
        "unknown label",
        "no label",
        "unknown label",
    ]
    assert found[0][0].remedy == "correct it to 'blue'"


@pytest.mark.parametrize("classes", [["a"], ["a", "a", "b"], ["1", 1.0, 2]])
def test_classes_that_are_none_are_refused(classes):
    with pytest.raises(ValueError, match="`classes` holds at least two labels, each once"):
        ClassTarget(classes=classes)


def test_a_column_of_one_class_is_named():
    with pytest.raises(ValueError, match="column 'mood', which holds fewer than two .* in 3 rows.*Received: \\['a'\\]"):
        ClassTarget("mood").adapt(["a", "a", ""])


def test_the_most_probable_classes_are_told_on_request():
    target = ClassTarget(classes=["a", "b", "c"])
    (answer,) = target.describe({"probabilities": np.array([[0.25, 0.125, 0.625]], "float32")}, top=2)
    assert answer == {"label": "c", "probability": 0.625, "probabilities": {"c": 0.625, "a": 0.25}}
    assert list(answer["probabilities"]) == ["c", "a"]
    with pytest.raises(ValueError, match="`top` is a number of classes"):
        target.describe({"probabilities": np.array([[0.25, 0.125, 0.625]], "float32")}, top=0)


@pytest.mark.parametrize("column", ["probability", "probabilities", "error"])
def test_a_column_with_the_name_of_an_output_loses_nothing(column):
    target = ClassTarget(column, ["a", "b"])
    answer = {f"predicted_{column}": "b", "probability": 0.75}
    assert target.describe({"probabilities": np.array([[0.25, 0.75]], "float32")}) == [answer]


def test_labels_of_any_characters_come_back_from_the_asset():
    classes = ["a\nb", 'say "no"', "tab\there", "ä\\n", "x"]
    assert json.loads(ClassTarget(classes=classes).assets()["labels.json"]) == classes


def test_the_answer_is_the_most_probable_class():
    outputs = {"probabilities": np.array([[0.25, 0.75], [0.5, 0.25]], "float32")}
    assert ClassTarget("mood", ["sad", "glad"]).describe(outputs) == [
        {"mood": "glad", "probability": 0.75},
        {"mood": "sad", "probability": 0.5},
    ]


def test_the_target_is_an_argument_of_the_task():
    model = mk.Classifier.from_source(mk.read(ROWS), {"text": mk.Text()}, target="label", classes=["y", "x", "z"])
    assert model.classes == ["y", "x", "z"]
    assert model.encode_targets(mk.read(ROWS))[:2].tolist() == [1, 0]
    assert len(next(iter(model.dataset(mk.read(ROWS))))) == 2
    unlabeled = mk.read([{"text": "a"}, {"text": "b"}])
    assert set(next(iter(model.dataset(unlabeled)))) == {"text", "text_present"}
    empty = mk.read([{"text": "a", "label": ""}, {"text": "b", "label": None}])
    assert len(next(iter(model.dataset(empty)))["text"]) == 2


def test_weights_of_rows_come_from_a_column():
    rows = [{**row, "weight": index} for index, row in enumerate(ROWS)]
    model = mk.Classifier.from_source(mk.read(rows), {"text": mk.Text()}, target="label")
    _, _, weights = next(iter(model.dataset(mk.read(rows), batch_size=20, sample_weight="weight")))
    assert weights.numpy().tolist() == list(range(12))
    rows[3]["weight"] = "much"
    with pytest.raises(ValueError, match=r"rows, row 4, column 'weight' \(much\): no weight"):
        model.dataset(mk.read(rows), sample_weight="weight")
