"""Numbers, categories and dates of a row to one tensor."""

import math
import re
from collections.abc import Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from mmkeras.data.cells import strip
from mmkeras.data.numbers import parse_number
from mmkeras.data.report import Finding
from mmkeras.preprocessing.base import Preprocessor
from mmkeras.preprocessing.lookup import learn_values, make_table

_DATE = r"(\d{4})-(\d{2})-(\d{2})([T ].*)?"  # ISO 8601; a time of day is not used
_DATE_FEATURES = ("day", "weekday_sin", "weekday_cos", "season_sin", "season_cos")


@keras.saving.register_keras_serializable(package="mmkeras")
class TabularPreprocessor(Preprocessor):
    """Cells of several columns to features `(features, 2)`, float32: for each its value, and 1 where it is missing.

    The value of a number is `(x - mean) / deviation`. That of a category is its index in the vocabulary, from 1, and 0
    for a value that was not among them. A date (ISO 8601) gives five features: the day, normalized as a number, and
    sine and cosine of the day of the week and of the year. The value of a missing cell is 0.

    Args:
        numbers, categories, dates: names of columns.
        statistics: `[mean, deviation]` by column of numbers or dates (days since 1970); None to learn them by `adapt`.
        vocabularies: values by column of categories; None to learn them by `adapt`.
        vocabulary_size: how many values of a column to learn at most, the most frequent ones.

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
    ):
        self.numbers, self.categories, self.dates = list(numbers), list(categories), list(dates)
        self.parts = (*self.numbers, *self.categories, *self.dates)
        if not self.parts or len(set(self.parts)) < len(self.parts):
            raise ValueError(
                "Tabular reads at least one column, and each once, as `numbers`, `categories` or `dates`. "
                f"Received: {self.parts}"
            )
        self.statistics = None if statistics is None else dict(statistics)
        self.vocabularies = None if vocabularies is None else {name: list(v) for name, v in vocabularies.items()}
        self.vocabulary_size = vocabulary_size
        self._tables = None

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
    def shape(self):
        return (len(self.feature_names), 2)

    @property
    def is_adapted(self):
        return self.statistics is not None and self.vocabularies is not None

    def adapt(self, cells):
        columns = dict(zip(self.parts, zip(*cells, strict=True), strict=True))
        if self.statistics is None:
            numbers = {name: _to_numbers(columns[name]) for name in self.numbers}
            days = {name: _to_days(tf.constant(_list_dates(columns[name]))).numpy() for name in self.dates}
            self.statistics = {name: _measure(values) for name, values in {**numbers, **days}.items()}
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
        cells = dict(zip(self.parts, tf.unstack(strip(batch), axis=1), strict=True))
        missing = {name: tf.equal(column, "") for name, column in cells.items()}
        features, flags = [], []
        for name in self.numbers:
            features.append(self._normalize(name, _parse_numbers(cells[name], missing[name])))
            flags.append(missing[name])
        for name in self.categories:
            features.append(tf.cast(self.tables[name].lookup(cells[name]), tf.float32))
            flags.append(missing[name])
        for name in self.dates:
            days = _to_days(tf.where(missing[name], "1970-01-01", cells[name]))
            features += [self._normalize(name, days), *_wave(days + 3, 7), *_wave(days, 365.2425)]
            flags += len(_DATE_FEATURES) * [missing[name]]
        features, flags = tf.stack(features, axis=1), tf.stack(flags, axis=1)
        return tf.stack([tf.where(flags, 0.0, features), tf.cast(flags, tf.float32)], axis=2)

    def _normalize(self, name, values):
        mean, deviation = self.statistics[name]
        return tf.cast((values - mean) / deviation, tf.float32)

    def find_problems(self, cells):
        known = {name: set(values) for name, values in (self.vocabularies or {}).items()}
        stripped = [[cell.strip() for cell in row] for row in cells]
        return [
            [f for part, cell in enumerate(row) if cell and (f := self._find_problem(part, cell, known))]
            for row in stripped
        ]

    def _find_problem(self, part, cell, known):
        name = self.parts[part]
        if name in self.numbers and parse_number(cell) is None:
            detail, remedy = f"{cell!r} is no finite number", "write it as 1234.5, or leave the cell empty"
            return Finding("not a number", detail, remedy, True, part)
        if name in self.dates and not _is_date(cell):
            detail, remedy = f"{cell!r} is no date", "write it as 2024-12-31, or leave the cell empty"
            return Finding("not a date", detail, remedy, True, part)
        if name in known and cell not in known[name]:
            detail = f"{cell!r} was not among the {len(known[name])} values that the model learned"
            return Finding("unknown category", detail, "correct it, or train on rows that have it", False, part)
        return None

    def get_config(self) -> dict:
        return {
            "numbers": self.numbers,
            "categories": self.categories,
            "dates": self.dates,
            "statistics": self.statistics,
            "vocabularies": self.vocabularies,
            "vocabulary_size": self.vocabulary_size,
        }


def _measure(values):
    """Mean and deviation of the values, to divide by: 1 where all are the same, or there are none."""
    if not len(values):
        return [0.0, 1.0]
    return [float(np.mean(values)), float(np.std(values)) or 1.0]


def _to_numbers(cells):
    return np.array([float(cell) for cell in cells if cell.strip()], "float64")


def _parse_numbers(cells, missing):
    values = tf.strings.to_number(tf.where(missing, "0", cells), tf.float64)
    return tf.debugging.assert_all_finite(values, "A number is infinite, or not a number.")


def _is_date(cell):
    try:
        np.datetime64(cell[:10], "D")
    except ValueError:
        return False
    return re.fullmatch(_DATE, cell, re.ASCII) is not None


def _list_dates(cells):
    return [cell.strip() for cell in cells if cell.strip()] or ["1970-01-01"]


def _to_days(cells):
    """Days since 1970-01-01 of ISO dates, float64; Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2014)."""
    is_date = tf.reduce_all(tf.strings.regex_full_match(cells, _DATE))
    check = tf.debugging.assert_equal(is_date, True, "A date is not written as 2024-12-31.")
    with tf.control_dependencies([check] if check is not None else []):  # None when run eagerly
        year, month, day = (
            tf.strings.to_number(tf.strings.regex_replace(cells, f"^{_DATE}$", rf"\{group}"), tf.int32)
            for group in (1, 2, 3)
        )
    year -= tf.cast(month <= 2, tf.int32)  # a year that begins in March, so that the leap day is its last
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - 719468
    return tf.cast(days, tf.float64)


def _wave(days, period):
    angle = tf.cast(2 * math.pi * days / period, tf.float32)
    return tf.sin(angle), tf.cos(angle)
