"""The one rule for numbers in cells, in Python and in the graph."""

import math
import re
from decimal import Decimal
from numbers import Real

import numpy as np
import tensorflow as tf

from mmkeras.data.cells import strip, to_plain, to_text

NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
LARGEST = float(np.finfo("float32").max)  # models compute in float32
ROUNDING = 1e-12  # a deviation of this share of the mean is rounding
_NUMBER = re.compile(NUMBER)
_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+")


def parse_number(cell) -> float | None:
    """The number that a cell holds, as a number or as text such as `1234.5`; None where it holds none that a float32
    can be.

    Example:

    >>> parse_number(" 1e3 "), parse_number(7), parse_number("1,5"), parse_number("inf"), parse_number(True)
    (1000.0, 7.0, None, None, None)
    """
    cell = to_plain(cell)
    if isinstance(cell, bytes):
        cell = to_text(cell)
    if isinstance(cell, bool):
        return None
    if isinstance(cell, str):
        cell = cell.strip()
        if not _NUMBER.fullmatch(cell):
            return None
    elif not isinstance(cell, Real | Decimal):
        return None
    number = float(cell)
    return number if math.isfinite(number) and abs(number) <= LARGEST else None


def parse_numbers(cells):
    """The same in the graph: the numbers in a string tensor, float64, 0 where there is none, and whether there is one.

    Example:

    >>> numbers, are_numbers = parse_numbers(tf.constant([" 1e3 ", "0x10"]))
    >>> numbers.numpy().tolist(), are_numbers.numpy().tolist()
    ([1000.0, 0.0], [True, False])
    """
    cells = strip(cells)
    are_numbers = tf.strings.regex_full_match(cells, NUMBER)
    numbers = tf.strings.to_number(tf.where(are_numbers, cells, "0"), tf.float64)
    are_numbers &= tf.abs(numbers) <= LARGEST  # also False for NaN and what is infinite
    return tf.where(are_numbers, numbers, 0), are_numbers


def measure(values: np.ndarray) -> list[float]:
    """Mean and deviation; the deviation is 0 where the values differ by rounding only, or there are none.

    Example:

    >>> measure(np.array([14.62] * 1000))
    [14.62, 0.0]
    """
    if not len(values):
        return [0.0, 0.0]
    mean, deviation = float(np.mean(values)), float(np.std(values))
    if deviation <= ROUNDING * abs(mean):
        return [float(np.median(values)), 0.0]
    return [mean, deviation]


def advise(cell: str) -> str:
    """How to mend a text that should be a number.

    Example:

    >>> advise("1,5")
    "write it as 1.5; of a whole table: mk.read(..., decimal=',')"
    """
    cell = cell.strip()
    if _COMMA.fullmatch(cell):
        return f"write it as {cell.replace(',', '.')}; of a whole table: mk.read(..., decimal=',')"
    if cell.lower() in ("true", "false"):
        return "write it as 1 or 0, or read the column as a category"
    return "write it as 1234.5, or leave the cell empty"
