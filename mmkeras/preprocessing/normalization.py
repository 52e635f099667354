"""How the numbers of a column are brought to a scale that a network learns from."""

from statistics import NormalDist

import numpy as np
import tensorflow as tf

from mmkeras.data.numbers import measure

NORMALIZATIONS = ("standard", "log", "quantile")
BINS = 32
_FEW = 50  # from fewer numbers nothing is said of their distribution
_LARGEST_SKEWNESS, _LARGEST_KURTOSIS = 1.0, 10.0


def choose_normalization(values: np.ndarray) -> str:
    """`"standard"` where no tail is long; `"log"` where the logarithms have none; `"quantile"` otherwise.

    A tail is long where the skewness is more than 1 or the kurtosis more than 10 (a normal distribution has 0 and 3).

    Example:

    >>> random = np.random.default_rng(0)
    >>> bell = random.normal(size=1000)
    >>> choose_normalization(bell), choose_normalization(np.exp(9 + bell))
    ('standard', 'log')
    >>> choose_normalization(np.where(bell > 1, np.exp(9 + bell), 0))  # mostly 0
    'quantile'
    """
    if len(values) < _FEW or not _has_long_tail(values):
        return "standard"
    return "quantile" if _has_long_tail(_take_log(values)) else "log"


def _has_long_tail(values):
    mean, deviation = measure(values)
    if not deviation:
        return False
    scores = (values - mean) / deviation
    return abs(np.mean(scores**3)) > _LARGEST_SKEWNESS or np.mean(scores**4) > _LARGEST_KURTOSIS


def _take_log(values):
    return np.sign(values) * np.log1p(np.abs(values))


def learn_statistics(values: np.ndarray, normalization: str) -> list[float]:
    """Mean and deviation of the numbers, or of what their logarithms are; of those the quantiles need neither."""
    return measure(_take_log(values) if normalization == "log" else values)


def learn_quantiles(values: np.ndarray) -> list[list[float]]:
    """At most `BINS + 1` numbers of the column, rising, and the normal score of each.

    The score of a number is the standard normal quantile of the share of the rows below it, half of those with the same
    number included.

    Example:

    >>> learn_quantiles(np.array([0.0, 0, 0, 8]))
    [[0.0, -0.32], [8.0, 1.15]]
    """
    if not len(values):
        return []
    numbers = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1), method="inverted_cdf"))
    ordered = np.sort(values)
    below, up_to = (np.searchsorted(ordered, numbers, side) for side in ("left", "right"))
    shares = (below + up_to) / (2 * len(values))
    return [
        [float(number), round(NormalDist().inv_cdf(share), 2)] for number, share in zip(numbers, shares, strict=True)
    ]


def normalize(values, normalization: str, statistics, quantiles) -> tf.Tensor:
    """Float64 numbers to float32 values of a mean near 0 and a deviation near 1; 0 where all rows had the same.

    `"standard"` is `(x - mean) / deviation`; `"log"` the same of `sign(x) * log(1 + |x|)`; `"quantile"` is the normal
    score of x, between two known numbers along a line, and beyond the first and the last that of theirs.

    Args:
        statistics: of `learn_statistics`.
        quantiles: of `learn_quantiles`; read for `"quantile"` alone.
    """
    mean, deviation = statistics
    if not deviation:
        return tf.zeros_like(values, tf.float32)
    if normalization == "quantile":
        return tf.cast(_interpolate(values, *zip(*quantiles, strict=True)), tf.float32)
    if normalization == "log":
        values = tf.sign(values) * tf.math.log1p(tf.abs(values))
    return tf.cast((values - mean) / deviation, tf.float32)


def _interpolate(values, numbers, scores):
    last = len(numbers) - 1
    numbers, scores = tf.constant(numbers, tf.float64), tf.constant(scores, tf.float64)
    above = tf.clip_by_value(tf.searchsorted(numbers, values, side="right"), 1, last)
    left, right = tf.gather(numbers, above - 1), tf.gather(numbers, above)
    share = tf.clip_by_value((values - left) / (right - left), 0.0, 1.0)
    return tf.gather(scores, above - 1) + share * (tf.gather(scores, above) - tf.gather(scores, above - 1))
