"""Words of a closed set to integers, in the graph."""

from collections import Counter
from collections.abc import Iterable, Sequence

import tensorflow as tf


def learn_values(values: Iterable[str], largest: int | None = None) -> list[str]:
    """The distinct non-empty values, the most frequent first, at most `largest` of them.

    Example:

    >>> learn_values(["b", "a", "", "b"])
    ['b', 'a']
    """
    counts = Counter(value for value in values if value)
    return sorted(counts, key=lambda value: (-counts[value], value))[:largest]


def make_table(values: Sequence[str], first: int, unknown: int) -> tf.lookup.StaticHashTable:
    """A table from each value to its index, counted from `first`; to `unknown` from anything else."""
    with tf.init_scope():  # built once, also when first asked for inside a graph
        indices = tf.range(first, first + len(values), dtype=tf.int32)
        initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(list(values), tf.string), indices)
        return tf.lookup.StaticHashTable(initializer, unknown)
