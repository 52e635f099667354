"""From the bytes of a text as a tokenizer reads it to the characters of the text as it was given."""

from typing import NamedTuple

import tensorflow as tf

_SPACE = r"[\t-\r \x{85}\x{a0}\p{Z}]"


class Offsets(NamedTuple):
    """Where pieces stand: ragged int32 `(batch, None)` each, in characters of the text as it was given.

    Attributes:
        starts: the first character of each piece.
        ends: the one behind its last character.
    """

    starts: tf.RaggedTensor
    ends: tf.RaggedTensor


def split_characters(texts) -> tf.RaggedTensor:
    """Strings `(batch,)` to their characters, `(batch, None)`."""
    return tf.strings.unicode_split(texts, "UTF-8")


def find_characters(characters, lengths, starts, ends) -> Offsets:
    """The characters that bytes belong to.

    A character that was taken away, such as an accent, belongs to the one before it. White space at either end of a
    piece is left out, unless the piece is nothing else.

    Args:
        characters: ragged strings `(batch, None)`, of the texts as they were given.
        lengths: ragged ints like `characters`: how many bytes each of them has where pieces are counted; 0 for those
            that were taken away.
        starts, ends: ragged ints `(batch, None)`: of each piece the first byte, and the one behind its last.
    """
    lengths = tf.cast(lengths.flat_values, tf.int64)
    stops = tf.cumsum(lengths)
    row_starts, row_limits = characters.row_starts(), characters.row_limits()
    bytes_before = tf.gather(tf.concat([[0], stops], 0), row_starts)
    rows = starts.value_rowids()
    first, last = tf.gather(row_starts, rows), tf.gather(row_limits, rows)
    begin, stop = (tf.cast(part.flat_values, tf.int64) + tf.gather(bytes_before, rows) for part in (starts, ends))
    is_empty = begin == stop
    begin = tf.searchsorted(stops, begin, side="right", out_type=tf.int64)
    inside = tf.searchsorted(stops, stop, side="left", out_type=tf.int64) + 1
    stop = tf.maximum(inside, tf.searchsorted(stops, stop, side="right", out_type=tf.int64))
    stop = tf.where(is_empty, begin, stop)
    begin, stop = (tf.clip_by_value(part, first, last) for part in (begin, stop))
    begin, stop = _trim(characters.flat_values, begin, stop)
    return Offsets(*(starts.with_flat_values(tf.cast(part - first, tf.int32)) for part in (begin, stop)))


def _trim(characters, starts, ends):
    """Without white space at either end, where anything else is left."""
    marks = tf.where(~tf.strings.regex_full_match(characters, _SPACE))[:, 0]
    after = tf.gather(tf.concat([marks, [tf.int64.max]], 0), tf.searchsorted(marks, starts, out_type=tf.int64))
    before = tf.gather(tf.concat([[-1], marks], 0), tf.searchsorted(marks, ends, out_type=tf.int64)) + 1
    return tf.where(after < before, after, starts), tf.where(after < before, before, ends)
