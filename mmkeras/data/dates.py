"""The one rule for dates in cells."""

import tensorflow as tf

from mmkeras.data.cells import strip

_TIME = r"[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
DATE = rf"([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}})(?:{_TIME})?"
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def parse_dates(cells):
    """Dates as in 2024-12-31, with or without a time of day, which is not used (ISO 8601).

    Args:
        cells: string tensor.

    Returns: float64 and bool tensors like `cells`: days since 1970-01-01, 0 where there is no date, and whether there
        is one. By Hinnant, "chrono-Compatible Low-Level Date Algorithms" (2014).

    Example:

    >>> days, are_dates = parse_dates(tf.constant(["1970-01-03 12:00", "1970-02-30"]))
    >>> days.numpy().tolist(), are_dates.numpy().tolist()
    ([2.0, 0.0], [True, False])
    """
    cells = strip(cells)
    are_dates = tf.strings.regex_full_match(cells, DATE)
    cells = tf.where(are_dates, cells, "1970-01-01")
    year, month, day = (
        tf.strings.to_number(tf.strings.substr(cells, start, length), tf.int32)
        for start, length in ((0, 4), (5, 2), (8, 2))
    )
    is_leap_year = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    longest = tf.gather(_DAYS, tf.clip_by_value(month, 1, 12) - 1) + tf.cast(is_leap_year & (month == 2), tf.int32)
    are_dates &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= longest)
    year -= tf.cast(month <= 2, tf.int32)  # a year that begins in March, so that the leap day is its last
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - 719468
    return tf.where(are_dates, tf.cast(days, tf.float64), 0), are_dates
