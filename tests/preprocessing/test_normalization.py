"""Numbers of long tails, and what the encoders of tables are told of their distribution."""

import numpy as np
import pytest
import tensorflow as tf

import mmkeras as mk
from mmkeras.preprocessing import RowPreprocessor, TabularPreprocessor
from mmkeras.testing import check_preprocessor

RANDOM = np.random.default_rng(0)
BELL = RANDOM.normal(50, 10, 1000)
INCOME = np.exp(RANDOM.normal(9, 1.5, 1000))
VISITS = np.where(RANDOM.random(1000) < 0.7, 0, RANDOM.pareto(1, 1000) * 100)
COLUMNS = {"age": BELL, "income": INCOME, "visits": VISITS}


def write_cells(columns):
    return [tuple(map(str, row)) for row in zip(*columns.values(), strict=True)]


def adapt(columns=COLUMNS, **arguments):
    table = TabularPreprocessor(numbers=list(columns), **arguments)
    table.adapt(write_cells(columns))
    return table


def prepare(table, *rows):
    return table.prepare_batch(tf.constant([tuple(map(str, row)) for row in rows])).numpy()[..., 0]


def test_the_normalization_is_chosen_from_the_training_rows():
    table = adapt()
    assert table.normalization == {"age": "standard", "income": "log", "visits": "quantile"}
    values = prepare(table, *zip(*COLUMNS.values(), strict=True))
    assert np.abs(values).max() < 5
    assert np.all(np.abs(values.mean(axis=0)) < 0.3)


def test_few_rows_say_nothing_of_a_tail():
    assert adapt({"n": INCOME[:40]}).normalization == {"n": "standard"}


def test_each_normalization_has_the_values_of_its_formula():
    columns = dict.fromkeys("abc", INCOME)
    table = adapt(columns, normalization={"a": "standard", "b": "log", "c": "quantile"})
    (row,) = prepare(table, [1000.0] * 3)
    assert row[0] == pytest.approx((1000 - INCOME.mean()) / INCOME.std(), rel=1e-5)
    logs = np.log1p(INCOME)
    assert row[1] == pytest.approx((np.log1p(1000) - logs.mean()) / logs.std(), rel=1e-5)
    share = np.mean(INCOME < 1000)
    below = np.mean(RANDOM.normal(size=100_000) < row[2])
    assert below == pytest.approx(share, abs=0.02)
    assert prepare(table, [-(10.0**9)] * 3, [10.0**30] * 3)[:, 2].tolist() == pytest.approx(
        [table.quantiles["c"][0][1], table.quantiles["c"][-1][1]]
    )


def test_the_order_of_numbers_is_kept():
    numbers = np.sort(np.concatenate([VISITS, RANDOM.pareto(1, 200) * 100]))
    values = prepare(adapt({"n": VISITS}), *numbers[:, None])[:, 0]
    assert np.all(np.diff(values) >= 0)


def test_edges_hold_as_many_rows_between_them():
    (age, income, visits) = adapt().edges
    values = prepare(adapt(), *zip(*COLUMNS.values(), strict=True))
    for edges, column in ((age, values[:, 0]), (income, values[:, 1])):
        counts, _ = np.histogram(column, edges)
        assert len(counts) == 32 and counts.max() < 40
    assert len(visits) < 15  # most rows have the same number
    assert adapt({"n": [3.0] * 60 + [4.0]}).edges == [pytest.approx([-0.02, 2.4])]


def test_a_table_with_given_statistics_stays_standard():
    table = TabularPreprocessor(["n"], statistics={"n": (10, 2)}, vocabularies={})
    assert prepare(table, [14.0]).tolist() == [[2.0]] and table.edges == [[]]


def test_a_wrong_normalization_is_refused():
    with pytest.raises(
        ValueError, match=r"is one of \('standard', 'log', 'quantile'\).*Received: normalization='rank'"
    ):
        mk.Tabular(["n"], normalization="rank")
    with pytest.raises(ValueError, match=r"from a column of `numbers`.*numbers=\['n'\]"):
        mk.Tabular(["n"], normalization={"m": "log"})
    with pytest.raises(ValueError, match=r"need `quantiles` beside `statistics`: \['n'\]"):
        mk.Tabular(["n"], statistics={"n": (0, 1)}, vocabularies={}, normalization="quantile")


def test_all_ways_through_give_the_same():
    rows = [("40", "3000", "7"), ("", "0", ""), ("-1", "-20", "1e9")]
    check_preprocessor(RowPreprocessor({"profile": adapt()}), {"profile": rows})


def test_a_tokenizer_bends_at_each_edge_and_skips_what_is_missing():
    layer = mk.layers.FeatureTokenizer([0, 3, 0], 2, edges=[[], [], [0.0, 1.0, 3.0]])
    features = np.zeros((4, 3, 2), "float32")
    features[:, 2, 0] = -1, 0.5, 2, 9
    tokens = layer(features)
    layer.pieces.assign(np.array([[[1.0, 10.0], [2.0, 20.0]]]))
    layer.weight.assign(np.zeros((3, 2)))
    tokens = layer(features).numpy() - layer(np.zeros((4, 3, 2), "float32")).numpy()
    assert tokens[:, :2].tolist() == np.zeros((4, 2, 2)).tolist()
    np.testing.assert_allclose(tokens[:, 2], [[0, 0], [0.5, 5], [2, 20], [3, 30]], atol=1e-5)
    features[:, 2, 1] = 1
    np.testing.assert_allclose(np.diff(layer(features).numpy()[:, 2], axis=0), np.zeros((3, 2)), atol=1e-6)
    with pytest.raises(ValueError, match="a list of numbers for each feature. Received: 1 lists, 2 features"):
        mk.layers.FeatureTokenizer([0, 0], 2, edges=[[0, 1]])
