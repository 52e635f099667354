"""The largest products of vectors, exactly."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

_PART = 65536  # vectors at once
_QUERIES = 1024
_ROUNDING = 1e-6


def cut(vectors: np.ndarray) -> list[tf.Tensor]:
    """The vectors `(rows, units)` in parts that are searched one after the other."""
    return [tf.constant(vectors[start : start + _PART]) for start in range(0, len(vectors), _PART)]


def find_top(queries: np.ndarray, parts: Sequence[tf.Tensor], top: int) -> tuple[np.ndarray, np.ndarray]:
    """For each query the vectors with the largest products, best first.

    Args:
        queries: `(queries, units)`.
        parts: as `cut` gives them.
        top: how many; fewer where there are fewer vectors.

    Returns: the products, `(queries, top)`, and the rows of the vectors; of equal products the first row is first.
    """
    found = [
        find_top_of_some(tf.constant(queries[i : i + _QUERIES]), parts, top) for i in range(0, len(queries), _QUERIES)
    ]
    return tuple(np.concatenate([each[index].numpy() for each in found]) for index in (0, 1))


def find_top_of_some(queries, parts, top):
    """The same as tensors, also in a graph, for as many queries as memory has room for."""
    best, rows, start = None, None, 0
    for part in parts:
        count = part.shape[0]
        scores, places = _find_top_of_part(queries, part, min(top, count))
        places += start
        start += count
        if best is not None:
            scores, places = tf.concat([best, scores], axis=1), tf.concat([rows, places], axis=1)
            scores, order = tf.math.top_k(scores, min(top, start))
            places = tf.gather(places, order, batch_dims=1)
        best, rows = scores, places
    return best, rows


@tf.function(reduce_retracing=True)
def _find_top_of_part(queries, part, top):
    return tf.math.top_k(tf.matmul(queries, part, transpose_b=True), top)


def rank_pairs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For each row at which rank its other is, by the product with its one, from 1; the mean rank among equal ones,
    which differ by less than rounding.

    Args:
        one, other: `(rows, units)`.
    """
    ranks = []
    for start in range(0, len(one), _QUERIES):
        scores = one[start : start + _QUERIES] @ other.T
        own = np.diagonal(scores[:, start:])[:, None]
        above = np.sum(scores > own + _ROUNDING, axis=1)
        equal = np.sum(np.abs(scores - own) <= _ROUNDING, axis=1)
        ranks.append(1 + above + (equal - 1) / 2)
    return np.concatenate(ranks)
