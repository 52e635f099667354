"""Numbers, categories and dates of a row to one tensor."""

import math
import warnings
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from mmkeras.data.cells import strip
from mmkeras.data.dates import parse_dates
from mmkeras.data.numbers import ROUNDING, advise, measure, parse_number, parse_numbers
from mmkeras.data.report import Finding
from mmkeras.preprocessing.base import Preprocessor
from mmkeras.preprocessing.lookup import learn_values, make_table
from mmkeras.preprocessing.normalization import (
    NORMALIZATIONS,
    choose_normalization,
    learn_quantiles,
    learn_statistics,
    normalize,
)
from mmkeras.preprocessing.places import cut_evenly

_DATE_FEATURES = ("day", "weekday_sin", "weekday_cos", "season_sin", "season_cos")
_NO_NUMBER, _NO_DATE = "not a number", "not a date"


@keras.saving.register_keras_serializable(package="mmkeras")
class TabularPreprocessor(Preprocessor):
    """Cells of several columns to features `(features, 2)`, float32: for each its value, and 1 where it is missing.

    The value of a number is `(x - mean) / deviation`, or 0 where all training rows had the same; where a tail of its
    distribution is long, the same of its logarithm, or its normal score. That of a category is its index in the
    vocabulary, from 1, and 0 for a value that was not among them. A date (ISO 8601) gives five features: the day,
    normalized as a number, and sine and cosine of the day of the week and of the year. The value of a missing cell is
    0.

    Args:
        numbers, categories, dates: names of columns.
        statistics: `[mean, deviation]` by column of numbers (with `"log"`, of the logarithms) or dates (days since
            1970); None to learn them by `adapt`.
        vocabularies: values by column of categories; None to learn them by `adapt`.
        vocabulary_size: how many values of a column to learn at most, the most frequent ones.
        normalization: `"standard"`, `"log"` or `"quantile"` for all numbers, or a dict by column; None, and for
            columns that it does not name, `adapt` chooses from the training rows, and `"standard"` holds where
            `statistics` are given. Afterwards it is the dict.
        quantiles: numbers of the column and their normal scores, by column of numbers; learned with `statistics`.

    Example:

    >>> table = TabularPreprocessor(numbers=["age"], categories=["city"])
    >>> table.adapt([("20", "Rome"), ("40", "Oslo"), ("", "Rome")])
    >>> table.prepare_batch(tf.constant([["40", "Bonn"], ["", "Rome"]])).numpy().tolist()
    [[[1.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]]]
    """

    dtype = "float32"

    def __init__(
        self,
        numbers: Sequence[str] = (),
        categories: Sequence[str] = (),
        dates: Sequence[str] = (),
        statistics: Mapping[str, Sequence[float]] | None = None,
        vocabularies: Mapping[str, Sequence[str]] | None = None,
        vocabulary_size: int = 1000,
        normalization: str | Mapping[str, str] | None = None,
        quantiles: Mapping[str, Sequence[Sequence[float]]] | None = None,
    ):
        self.numbers, self.categories, self.dates = (list(map(str, names)) for names in (numbers, categories, dates))
        self.parts = (*self.numbers, *self.categories, *self.dates)
        if not self.parts or len(set(self.parts)) < len(self.parts):
            raise ValueError(
                "Tabular reads at least one column, and each once, as `numbers`, `categories` or `dates`. "
                f"Received: {self.parts}"
            )
        self.statistics = None if statistics is None else dict(statistics)
        self.vocabularies = None if vocabularies is None else {name: list(v) for name, v in vocabularies.items()}
        self.vocabulary_size = vocabulary_size
        self.normalization = self._read_normalization(normalization)
        self.quantiles = {} if quantiles is None else {name: list(map(list, q)) for name, q in quantiles.items()}
        lacking = [
            name for name, kind in self.normalization.items() if kind == "quantile" and name not in self.quantiles
        ]
        if self.is_adapted and lacking:
            raise ValueError(f"Columns normalized by their quantiles need `quantiles` beside `statistics`: {lacking}.")
        self._tables = None
        self._known = None  # the vocabularies as sets

    def locate(self, cells=None):
        return cut_evenly("columns", len(self.parts), 1, len(self.parts))

    def cell_kinds(self):
        return ["number"] * len(self.numbers) + ["text"] * len(self.categories) + ["date"] * len(self.dates)

    def _read_normalization(self, given):
        """A name for all numbers, or a dict, to the names by column that are known so far."""
        names = dict.fromkeys(self.numbers, given) if isinstance(given, str) else dict(given or {})
        for column, name in names.items():
            if column not in self.numbers or name not in NORMALIZATIONS:
                raise ValueError(
                    f"`normalization` is one of {NORMALIZATIONS}, or a dict from a column of `numbers` to one of them. "
                    f"Received: normalization={given!r}, numbers={self.numbers}"
                )
        return names

    @property
    def raw_shape(self):
        return (len(self.parts),)

    @property
    def feature_names(self) -> list[str]:
        """What each feature is, in order."""
        dates = [f"{column}_{feature}" for column in self.dates for feature in _DATE_FEATURES]
        return [*self.numbers, *self.categories, *dates]

    @property
    def cardinalities(self) -> list[int]:
        """For each feature how many categories it has, the unknown one included; 0 for a number."""
        categories = [1 + len(self.vocabularies[name]) for name in self.categories]
        return [0] * len(self.numbers) + categories + [0] * len(_DATE_FEATURES) * len(self.dates)

    @property
    def edges(self) -> list[list[float]]:
        """For each feature the normalized quantiles of its numbers, rising: bins with as many rows each; else empty."""
        edges = [
            np.unique(self._normalize(name, np.array(self.quantiles[name])[:, 0])).tolist()
            if self.quantiles.get(name)
            else []
            for name in self.numbers
        ]
        return edges + [[] for _ in self.feature_names[len(self.numbers) :]]

    @property
    def shape(self):
        return (len(self.feature_names), 2)

    @property
    def is_adapted(self):
        return self.statistics is not None and self.vocabularies is not None

    def adapt(self, cells):
        columns = dict(zip(self.parts, zip(*cells, strict=True), strict=True))
        if self.statistics is None:
            self.statistics = {}
            for names, parse in ((self.numbers, parse_numbers), (self.dates, parse_dates)):
                for name in names:
                    filled = [cell for cell in columns[name] if cell.strip()]
                    values, are_usable = parse(tf.constant(filled, tf.string, shape=(len(filled),)))
                    if not np.all(are_usable):
                        wrong = filled[int(np.argmin(are_usable))]
                        raise ValueError(f"Column '{name}' of Tabular holds a cell that it cannot use: {wrong!r}.")
                    values = values.numpy()
                    if parse is parse_numbers:
                        if name not in self.normalization:
                            self.normalization[name] = choose_normalization(values)
                        self.statistics[name] = learn_statistics(values, self.normalization[name])
                        self.quantiles[name] = learn_quantiles(values)
                    else:
                        self.statistics[name] = measure(values)
            if constant := [name for name in self.statistics if self.statistics[name][1] == 0]:
                warnings.warn(
                    f"The columns {constant} have the same value in all rows, or none at all, from which nothing can "
                    "be learned: they are ignored. Leave them out.",
                    stacklevel=2,
                )
        if self.vocabularies is None:
            stripped = {name: (cell.strip() for cell in columns[name]) for name in self.categories}
            self.vocabularies = {name: learn_values(cells, self.vocabulary_size) for name, cells in stripped.items()}

    @property
    def tables(self) -> dict[str, tf.lookup.StaticHashTable]:
        """What the graph looks categories up in."""
        if self._tables is None:
            self._tables = {name: make_table(self.vocabularies[name], 1, 0) for name in self.categories}
        return self._tables

    def prepare_batch(self, batch):
        if not self.is_adapted:
            raise ValueError(
                "Tabular has not seen data yet: call `adapt(rows)`, build the model with `from_source`, or give both "
                f"`statistics` and `vocabularies`. Received: statistics={self.statistics}, "
                f"vocabularies={self.vocabularies}"
            )
        cells = self._split(batch)
        missing = {name: tf.equal(column, "") for name, column in cells.items()}
        features, flags = [], []
        for name in self.numbers:
            features.append(self._normalize(name, parse_numbers(cells[name])[0]))
            flags.append(missing[name])
        for name in self.categories:
            features.append(tf.cast(self.tables[name].lookup(cells[name]), tf.float32))
            flags.append(missing[name])
        for name in self.dates:
            days = parse_dates(cells[name])[0]
            features += [self._normalize(name, days), *_wave(days + 3, 7), *_wave(days, 365.2425)]
            flags += len(_DATE_FEATURES) * [missing[name]]
        features, flags = tf.stack(features, axis=1), tf.stack(flags, axis=1)
        return tf.stack([tf.where(flags, 0.0, features), tf.cast(flags, tf.float32)], axis=2)

    def _split(self, batch):
        return dict(zip(self.parts, tf.unstack(strip(batch), axis=1), strict=True))

    def _normalize(self, name, values):
        kind = self.normalization.get(name, "standard")
        return normalize(values, kind, self.statistics[name], self.quantiles.get(name))

    def find_errors(self, batch):
        kinds = []
        for name, cells in self._split(batch).items():
            is_usable = tf.equal(cells, "")
            if name in self.numbers:
                kinds.append(tf.where(is_usable | parse_numbers(cells)[1], "", _NO_NUMBER))
            elif name in self.dates:
                kinds.append(tf.where(is_usable | parse_dates(cells)[1], "", _NO_DATE))
            else:
                kinds.append(tf.fill(tf.shape(cells), ""))
        unreadable = super().find_errors(batch)
        return tf.where(unreadable == "", tf.stack(kinds, axis=1), unreadable)

    def explain(self, kind, cell, part):
        if kind == _NO_NUMBER:
            return Finding(kind, f"{cell[part]!r} is no finite number", advise(cell[part]), True, part)
        if kind == _NO_DATE:
            remedy = "write it as 2024-12-31, or leave the cell empty"
            return Finding(kind, f"{cell[part]!r} is no date", remedy, True, part)
        return super().explain(kind, cell, part)

    def find_remarks(self, cells, measures=None):
        if self._known is None and self.vocabularies is not None:
            self._known = {name: frozenset(values) for name, values in self.vocabularies.items()}
        return [[f for part, cell in enumerate(row) if (f := self._find_remark(part, cell.strip()))] for row in cells]

    def _find_remark(self, part, cell):
        name, known = self.parts[part], self._known or {}
        if cell and name in known and cell not in known[name]:
            remedy = "correct it, or train on rows that have it"
            if len(known[name]) == self.vocabulary_size:
                remedy = f"give Tabular a `vocabulary_size` of more than {self.vocabulary_size}"
            detail = f"{cell!r} is not among the {len(known[name])} values that the model learned"
            return Finding("unknown category", detail, remedy, False, part)
        if cell and name in self.numbers and (self.statistics or {}).get(name, [0, 1])[1] == 0:
            mean = self.statistics[name][0]
            if not math.isclose(parse_number(cell), mean, rel_tol=ROUNDING):
                detail = f"all rows of the training had {mean!r}, so that the model does not see it"
                return Finding("number ignored", detail, "train on rows that differ in it", False, part)
        return None

    def get_config(self) -> dict:
        return {
            "numbers": self.numbers,
            "categories": self.categories,
            "dates": self.dates,
            "statistics": self.statistics,
            "vocabularies": self.vocabularies,
            "vocabulary_size": self.vocabulary_size,
            "normalization": self.normalization,
            "quantiles": self.quantiles,
        }


def _wave(days, period):
    angle = tf.cast(2 * math.pi * days / period, tf.float32)
    return tf.sin(angle), tf.cos(angle)
