import numpy as np
import pytest

import mmkeras as mk


def make_rows(count=100, **columns):
    random = np.random.default_rng(0)
    return mk.read(
        [{"noise": random.normal(), **{key: make(i) for key, make in columns.items()}} for i in range(count)]
    )


@pytest.mark.parametrize(
    ("make", "kind", "why"),
    [
        (lambda i: "ab"[i % 2], "ClassTarget", "y: 2 classes in 100 labeled rows, from 'a' (50) to 'b' (50)"),
        (
            lambda i: 1.5 * i,
            "NumberTarget",
            "y: a number, for its 100 labeled rows hold 100 different ones, 0 to 148.5",
        ),
        (
            lambda i: i % 5 + 1,
            "ClassTarget",
            "y: 5 classes in 100 labeled rows, from '1' (20) to '5' (20); they are whole",
        ),
        (lambda i: i % 30, "NumberTarget", "y: a number, for its 100 labeled rows hold 30 different ones, 0 to 29"),
        (
            lambda i: 0.5 * (i % 5),
            "NumberTarget",
            "y: a number, for its 100 labeled rows hold 5 different ones, 0 to 2",
        ),
        (lambda i: i % 3 if i % 4 else None, "ClassTarget", "y: 3 classes in 75 labeled rows, from"),
        (
            lambda i: "unknown" if i == 7 else f"{i * 10} ",
            "NumberTarget",
            "y: a number, for its 100 labeled rows hold 99",
        ),
        (lambda i: i % 2 == 0, "ClassTarget", "y: 2 classes in 100 labeled rows, from"),
    ],
)
def test_classes_and_numbers_are_told_apart(make, kind, why):
    found = mk.propose_target(make_rows(y=make), "y")
    assert type(found.target).__name__ == kind and found.target.is_adapted
    assert found.why[0].startswith(why) and not found.doubts


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda i: "", "Column 'y' is to be predicted, and none of its 100 rows has a value"),
        (lambda i: 2.5, "Column 'y' is to be predicted, and is 2.5 in every row"),
        (lambda i: "a", "fewer than two different labels in 100 rows"),
        (lambda i: f"row number {i}", "has another value in each of its 100 labeled rows.*'row number 0'"),
        (lambda i: ["a", "b"], "A label is one value, and column 'y' holds lists"),
    ],
)
def test_what_cannot_be_learned_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        mk.propose_target(make_rows(y=make), "y")


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="'lable'"):
        mk.propose_target(make_rows(label=lambda i: i % 2), "lable")
    with pytest.raises(ValueError, match="has no target column"):
        mk.propose_target(make_rows(label=lambda i: i % 2))


def test_columns_that_give_the_label_away_are_named():
    rows = make_rows(
        y=lambda i: ("low", "middle", "high")[i % 3],
        code=lambda i: f"c{i % 3}",
        score=lambda i: 10 * (i % 3) + i / 100,
        honest=lambda i: i % 7,
        words=lambda i: f"some words {i}",
    )
    doubts = mk.propose_target(rows, "y").doubts
    assert [doubt.split("'")[1] for doubt in doubts] == ["code", "score"]
    assert "Column 'code' predicts 'y' alone" in doubts[0] and "leave it out" in doubts[0]
    prices = make_rows(y=lambda i: 3.7 * i, with_tax=lambda i: 3.7 * i * 1.19, size=lambda i: i + i % 2)
    assert [doubt.split("'")[1] for doubt in mk.propose_target(prices, "y").doubts] == ["with_tax"]
    few = make_rows(10, y=lambda i: "ab"[i % 2], code=lambda i: f"c{i % 2}")
    assert not mk.propose_target(few, "y").doubts


def test_classes_of_one_row_are_named():
    rows = make_rows(y=lambda i: "rare" if i == 4 else "ab"[i % 2])
    (doubt,) = mk.propose_target(rows, "y").doubts
    assert doubt == "1 of the 3 classes of 'y' have one row, and cannot be validated: 'rare'."


def test_several_columns_are_one_target():
    rows = make_rows(color=lambda i: "ab"[i % 2], price=lambda i: 0.1 * (i % 50))
    found = mk.propose_target(rows, ["color", "price"])
    assert [type(part).__name__ for part in found.target.targets.values()] == ["ClassTarget", "NumberTarget"]
    assert str(found).startswith("color: 2 classes") and "\nprice: a number" in str(found)
    model = mk.MultiTask.from_source(rows, {"facts": mk.Tabular(numbers=["noise"])}, found.target)
    assert set(model.predict_rows([{"noise": 0.5}])[0]) == {"color", "color_probability", "price"}
