"""What somebody did, item by item, to ids and time gaps."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from mmkeras.data.cells import LIST
from mmkeras.data.report import Finding
from mmkeras.preprocessing.base import Preprocessor
from mmkeras.preprocessing.lookup import learn_values, make_table

PADDING, UNKNOWN = 0, 1
GAP_BUCKETS = 32


@keras.saving.register_keras_serializable(package="mmkeras")
class HistoryPreprocessor(Preprocessor):
    """Items in the order of time to `(sequence_length, 2)`, int32: the id of each, and the bucket of the gap before it.

    The most recent `sequence_length` items are kept; 0 follows where there are fewer. Ids start at 2, and 1 is an item
    that was not learned. The bucket of a gap of `g` seconds is `1 + floor(log2(1 + g))`, at most 31; it is 0 for the
    first item, and without times.

    Args:
        sequence_length: items a row.
        items: the known items; None to learn them by `adapt`.
        vocabulary_size: how many items to learn at most, the most frequent ones.
        times: whether a second column holds the time of each item, in seconds.

    Example:

    >>> history = HistoryPreprocessor(sequence_length=3, items=["tea", "cup"])
    >>> history.prepare_batch(tf.constant([["cup", "tea"], ["pot", ""]]))[..., 0].numpy().tolist()
    [[3, 2, 0], [1, 0, 0]]
    """

    cells = LIST
    dtype = "int32"

    def __init__(
        self,
        sequence_length: int = 50,
        items: Sequence[str] | None = None,
        vocabulary_size: int = 100_000,
        times: bool = False,
    ):
        if sequence_length < 1:
            raise ValueError(f"`sequence_length` of History is at least 1. Received: sequence_length={sequence_length}")
        self.sequence_length = sequence_length
        self.items = None if items is None else list(items)
        self.vocabulary_size = vocabulary_size
        self.times = times
        self.parts = ("items", "times") if times else ()
        self._table = None

    @property
    def raw_shape(self):
        return (None, 2) if self.times else (None,)

    @property
    def shape(self):
        return (self.sequence_length, 2)

    @property
    def is_adapted(self):
        return self.items is not None

    def adapt(self, cells):
        items = (cell[0] for cell in cells) if self.times else cells
        self.items = learn_values((item for row in items for item in row), self.vocabulary_size)

    def pack(self, cells):
        if self.times:
            cells = [list(zip(*cell, strict=True)) for cell in cells]
        return super().pack([cell[-self.sequence_length :] for cell in cells])

    @property
    def tables(self) -> dict[str, tf.lookup.StaticHashTable]:
        """What the graph looks items up in."""
        if self._table is None:
            self._table = make_table(self.items, 2, UNKNOWN)
        return {"items": self._table}

    def prepare_batch(self, batch):
        if not self.is_adapted:
            raise ValueError("History has not seen data yet: call `adapt(cells)`, use `from_source`, or give `items`.")
        items = batch[..., 0] if self.times else batch
        is_item = tf.strings.length(items) > 0
        ids = self._keep_last(tf.ragged.boolean_mask(self.tables["items"].lookup(items), is_item))
        if not self.times:
            return tf.stack([ids, tf.zeros_like(ids)], axis=2)
        times = tf.strings.to_number(tf.where(is_item, batch[..., 1], "0"), tf.float64)
        return tf.stack([ids, self._keep_last(tf.ragged.boolean_mask(_bucket_gaps(times), is_item))], axis=2)

    def _keep_last(self, ragged):
        return ragged[:, -self.sequence_length :].to_tensor(PADDING, shape=(None, self.sequence_length))

    def find_problems(self, cells):
        known = None if self.items is None else set(self.items)
        return [self._find_problems(cell, known) for cell in cells]

    def _find_problems(self, cell, known):
        items = cell[0] if self.times else cell
        if self.times and len(cell[1]) != len(items):
            detail = f"it has {len(items)} items and {len(cell[1])} times"
            return [Finding("times do not match", detail, "give each item one time", True, 1)]
        if self.times and not _are_ascending(cell[1]):
            detail, remedy = "they are no ascending numbers of seconds", "sort the items by time"
            return [Finding("times out of order", detail, remedy, True, 1)]
        if known is not None and not any(item in known for item in items):
            detail = f"none of its {len(items)} items is among the {len(known)} that the model learned"
            return [Finding("unknown items only", detail, "train on rows that have them", False)]
        return []

    def get_config(self) -> dict:
        return {
            "sequence_length": self.sequence_length,
            "items": self.items,
            "vocabulary_size": self.vocabulary_size,
            "times": self.times,
        }


def _are_ascending(times):
    try:
        numbers = [float(time) for time in times]
    except ValueError:
        return False
    return all(first <= second for first, second in zip(numbers, numbers[1:], strict=False))


def _bucket_gaps(times):
    """Buckets `(batch, items)` of the gaps between ascending times, 0 for the first item."""
    gaps = tf.maximum(times[:, 1:] - times[:, :-1], 0)
    doublings = tf.math.log(1 + gaps) / math.log(2) + 1e-9  # so that whole ones are not rounded down
    buckets = 1 + tf.cast(tf.floor(doublings), tf.int32)
    return tf.pad(tf.minimum(buckets, GAP_BUCKETS - 1), [[0, 0], [1, 0]])
