import datetime
import math

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import mmkeras as mk
from mmkeras.preprocessing import RowPreprocessor, TabularPreprocessor
from mmkeras.testing import check_preprocessor


@pytest.fixture
def table():
    preprocessor = TabularPreprocessor(numbers=["age", "income"], categories=["city"], dates=["joined"])
    preprocessor.adapt(
        [("20", "1e3", "Rome", "2024-01-01"), ("40", "", "Oslo", "2024-01-31"), ("", "3000", "Rome", "")]
    )
    return preprocessor


def prepare(table, *rows):
    return table.prepare_batch(tf.constant(list(rows))).numpy()


def test_numbers_are_normalized_and_missing_ones_flagged(table):
    values = prepare(table, ("40", "1000", "Oslo", "2024-01-01"), (" ", "", "", ""))
    assert values[0, :2].tolist() == [[1, 0], [-1, 0]]
    assert values[1].tolist() == [[0, 1]] * 8
    assert table.feature_names[:4] == ["age", "income", "city", "joined_day"]


def test_a_category_that_was_not_learnt_is_unknown_and_not_missing(table):
    values = prepare(table, ("1", "1", " Rome ", ""), ("1", "1", "Bonn", ""))[:, 2]
    assert values.tolist() == [[1, 0], [0, 0]]
    assert table.cardinalities[2] == 3


@given(st.dates(datetime.date(1600, 1, 1), datetime.date(2400, 12, 31)))
def test_dates_are_days_of_the_calendar(date):
    table = TabularPreprocessor(dates=["day"], statistics={"day": [0.0, 1.0]}, vocabularies={})
    (features,) = prepare(table, (f"{date.isoformat()}T12:00",))
    days = (date - datetime.date(1970, 1, 1)).days
    assert features[0, 0] == days
    angle = math.atan2(features[1, 0], features[2, 0]) / (2 * math.pi) * 7 % 7
    assert round(angle) % 7 == date.weekday()


def test_large_numbers_keep_their_differences():
    table = TabularPreprocessor(numbers=["time"])
    table.adapt([("1700000000",), ("1700000002",)])
    assert prepare(table, ("1700000000",), ("1700000002",))[:, 0, 0].tolist() == [-1, 1]


def test_all_ways_through_give_the_same(table):
    rows = [("1", "2", "Rome", "2023-05-06"), ("", "", "", ""), ("-1.5e2", "0", "x", "")]
    check_preprocessor(RowPreprocessor({"profile": table}), {"profile": rows})


@pytest.mark.parametrize("number", ["abc", "inf", "nan", "1,5", "1_000", "0x10", "1e999", "٣", "12 3"])
def test_what_is_no_number_is_named_by_column(table, number):
    (finding,) = table.find_problems([("1", number, "Rome", "")])[0]
    assert (finding.kind, finding.part, finding.rejected) == ("not a number", 1, True)


@pytest.mark.parametrize(
    "date", ["2024-02-30", "31.12.2024", "2024-1-1", "today", "1980-13-01", "1900-02-29", "2024-01-01 late"]
)
def test_what_is_no_date_is_named(table, date):
    (finding,) = table.find_problems([("1", "1", "Rome", date)])[0]
    assert (finding.kind, finding.rejected) == ("not a date", True)


def test_every_bad_cell_of_a_row_is_named():
    source = mk.read([{"age": "old", "city": "Rome", "day": "soon"}, {"age": "3", "city": "Rome", "day": ""}])
    report = mk.check(source, {"profile": mk.Tabular(numbers=["age"], categories=["city"], dates=["day"])})
    assert [(problem.column, problem.cell) for problem in report.problems] == [("age", "old"), ("day", "soon")]
    assert report.missing == {"age": 0, "city": 0, "day": 1}
    assert report.rejected == {0}


@pytest.mark.parametrize("number", ["abc", "inf"])
def test_the_graph_refuses_what_is_no_number(table, number):
    with pytest.raises(tf.errors.InvalidArgumentError, match="not a number"):
        RowPreprocessor({"profile": table})({"profile": tf.constant([(number, "1", "Rome", "")])})


def test_a_column_of_one_value_is_not_divided_by_zero():
    """Nor by what rounding makes of it."""
    table = TabularPreprocessor(numbers=["n"])
    with pytest.warns(UserWarning, match=r"The columns \['n'\] have the same value in all rows"):
        table.adapt([("14.62",)] * 1000)
    assert prepare(table, ("14.62",), ("14.63",), ("",))[:, 0].tolist() == [[0, 0], [0, 0], [0, 1]]
    (finding,) = table.find_problems([("14.63",)])[0]
    assert (finding.kind, finding.rejected) == ("number ignored", False)
    assert table.find_problems([("14.62",)]) == [[]]


def test_numbers_that_a_float32_cannot_be_are_named(table):
    table = TabularPreprocessor(numbers=["n"])
    report = mk.check(mk.read([{"n": "1.7e308"}, {"n": "3"}]), {"p": mk.Tabular(numbers=["n"])})
    assert [(p.row, p.kind) for p in report.problems] == [(1, "not a number")]
    table.adapt([("3e38",), ("-3e38",)])
    assert prepare(table, ("3e38",))[0, 0].tolist() == [1, 0]


@pytest.mark.parametrize(
    "cell, remedy",
    [("1,5", "write it as 1.5; of a whole table: mk.read(..., decimal=',')"), ("True", "write it as 1 or 0")],
)
def test_the_remedy_fits_the_cell(table, cell, remedy):
    assert table.find_problems([(cell, "1", "Rome", "")])[0][0].remedy.startswith(remedy)


def test_columns_are_needed_each_once():
    with pytest.raises(ValueError, match="Tabular reads at least one column, and each once"):
        mk.Tabular()
    with pytest.raises(ValueError, match="Tabular reads at least one column, and each once"):
        mk.Tabular(numbers=["a"], categories=["a"])


def test_it_must_have_seen_data():
    with pytest.raises(ValueError, match="Tabular has not seen data yet: call `adapt"):
        prepare(TabularPreprocessor(numbers=["a"]), ("1",))
