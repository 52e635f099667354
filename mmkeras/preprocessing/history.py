"""What somebody did, item by item, to ids and time gaps."""

import math
from collections.abc import Sequence
from itertools import zip_longest

import keras
import tensorflow as tf

from mmkeras.data.cells import LIST, strip
from mmkeras.data.numbers import LARGEST, parse_number, parse_numbers
from mmkeras.data.report import Finding
from mmkeras.preprocessing.base import Preprocessor
from mmkeras.preprocessing.lookup import learn_values, make_table
from mmkeras.preprocessing.places import cut_evenly

PADDING, UNKNOWN = 0, 1
GAP_BUCKETS = 32
_NO_MATCH, _NO_NUMBERS, _UNORDERED = "times do not match", "times are not numbers", "times out of order"


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
        self._known = None  # the items as a set

    def locate(self, cells=None):
        return cut_evenly("items", self.sequence_length, 1, self.sequence_length)

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
        self.items = learn_values((item.strip() for row in items for item in row), self.vocabulary_size)

    def pack(self, cells, whole=False):
        if self.times:
            cells = [list(zip_longest(*cell, fillvalue="")) for cell in cells]
        return super().pack(cells if whole else [self._shorten(cell) for cell in cells])

    def _shorten(self, cell):
        """The last items, and the one before them, from which the first gap is measured."""
        kept = self.sequence_length + 1
        if len(cell) <= kept:
            return cell
        items = [index for index, item in enumerate(cell) if (item[0] if self.times else item).strip()]
        return cell[items[-kept] :] if len(items) >= kept else cell

    @property
    def tables(self) -> dict[str, tf.lookup.StaticHashTable]:
        """What the graph looks items up in."""
        if self._table is None:
            self._table = make_table(self.items, 2, UNKNOWN)
        return {"items": self._table}

    def prepare_batch(self, batch):
        if not self.is_adapted:
            raise ValueError("History has not seen data yet: call `adapt(cells)`, use `from_source`, or give `items`.")
        batch = strip(batch)
        items = batch[..., 0] if self.times else batch
        is_item = items != ""
        ids = self._keep_last(tf.ragged.boolean_mask(self.tables["items"].lookup(items), is_item))
        if not self.times:
            return tf.stack([ids, tf.zeros_like(ids)], axis=2)
        times = tf.ragged.boolean_mask(parse_numbers(batch[..., 1])[0], is_item).to_tensor()
        buckets = tf.RaggedTensor.from_tensor(_bucket_gaps(times), lengths=_count(is_item))
        return tf.stack([ids, self._keep_last(buckets)], axis=2)

    def _keep_last(self, ragged):
        return ragged[:, -self.sequence_length :].to_tensor(PADDING, shape=(None, self.sequence_length))

    def find_errors(self, batch):
        unreadable = super().find_errors(batch)
        if not self.times:
            return unreadable
        is_item, has_time = tf.unstack(strip(batch) != "", axis=2)
        numbers, are_numbers = parse_numbers(batch[..., 1])
        # What stands between items without being one is left out with its time; a time behind the last is too much.
        matches = tf.reduce_all(has_time | ~is_item, axis=1) & (_find_end(is_item) == _find_end(has_time))
        timed = tf.ragged.boolean_mask(numbers, is_item)
        kind = tf.where(_ascend(timed), "", _UNORDERED)
        kind = tf.where(tf.reduce_all(are_numbers | ~has_time, axis=1), kind, _NO_NUMBERS)
        kind = tf.where(matches, kind, _NO_MATCH)
        return tf.where(unreadable == "", tf.stack([tf.fill(tf.shape(kind), ""), kind], axis=1), unreadable)

    def explain(self, kind, cell, part):
        if kind == _NO_MATCH:
            detail = f"it has {len(cell[0])} items and {len(cell[1])} times"
            return Finding(kind, detail, "give each item one time", True, part)
        if kind == _NO_NUMBERS:
            wrong = next(time for time in cell[1] if time.strip() and parse_number(time) is None)
            return Finding(kind, f"{wrong!r} is none", "write times in seconds, as Unix time is", True, part)
        if kind == _UNORDERED:
            return Finding(kind, "they do not ascend", "sort the items by time", True, part)
        return super().explain(kind, cell, part)

    def find_remarks(self, cells, measures=None):
        if self._known is None and self.items is not None:
            self._known = frozenset(self.items)
        return [self._find_remarks(cell[0] if self.times else cell) for cell in cells]

    def _find_remarks(self, items):
        if self._known is None or any(item.strip() in self._known for item in items):
            return []
        detail = f"none of its {len(items)} items is among the {len(self._known)} that the model learned"
        return [Finding("unknown items only", detail, "train on rows that have them", False)]

    def get_config(self) -> dict:
        return {
            "sequence_length": self.sequence_length,
            "items": self.items,
            "vocabulary_size": self.vocabulary_size,
            "times": self.times,
        }


def _count(flags):
    return tf.reduce_sum(tf.cast(flags, tf.int64), axis=1)


def _find_end(flags):
    """Position behind the last True of each row."""
    return tf.reduce_max(tf.where(flags, tf.range(1, tf.shape(flags)[1] + 1), 0), axis=1)


def _ascend(ragged):
    """Whether the numbers of each row ascend."""
    numbers = ragged.to_tensor(LARGEST)
    return tf.reduce_all(numbers[:, 1:] >= numbers[:, :-1], axis=1)


def _bucket_gaps(times):
    """Buckets `(batch, items)` of the gaps between ascending times, 0 for the first item."""
    gaps = tf.maximum(times[:, 1:] - times[:, :-1], 0)
    doublings = tf.math.log(1 + gaps) / math.log(2) + 1e-9  # so that whole ones are not rounded down
    buckets = 1 + tf.cast(tf.floor(doublings), tf.int32)
    return tf.pad(tf.minimum(buckets, GAP_BUCKETS - 1), [[0, 0], [1, 0]])
