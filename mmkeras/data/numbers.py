"""The one rule for numbers in cells."""

import math
import re
from numbers import Real

import numpy as np

NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_NUMBER = re.compile(NUMBER)


def parse_number(cell) -> float | None:
    """The finite number that a cell holds, as a number or as text such as `1234.5`; None where it holds none.

    Example:

    >>> parse_number(" 1e3 "), parse_number(7), parse_number("1,5"), parse_number("inf"), parse_number(True)
    (1000.0, 7.0, None, None, None)
    """
    if isinstance(cell, bool | np.bool_):
        return None
    if isinstance(cell, str):
        cell = cell.strip()
        if not _NUMBER.fullmatch(cell):
            return None
    elif not isinstance(cell, Real):
        return None
    number = float(cell)
    return number if math.isfinite(number) else None
