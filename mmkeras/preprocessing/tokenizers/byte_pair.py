from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from mmkeras.preprocessing.tokenizers.base import Tokenizer
from mmkeras.preprocessing.tokenizers.offsets import find_characters, split_characters

_LONGEST_WORD = 512  # bytes that are merged at once; a longer word is split into parts of so many
_SPACE = r"[\t-\r \x{85}\p{Z}]"  # what Unicode calls white space
_NO_SPACE = r"[^\t-\r \x{85}\p{Z}]"
_WORDS = rf"{_SPACE}?{_NO_SPACE}+"
_PARTS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\t-\r \x{85}\p{Z}\p{L}\p{N}]+"


@keras.saving.register_keras_serializable(package="mmkeras")
class BytePair(Tokenizer):
    """The pieces that byte-pair encoding makes of the bytes of a text, as GPT-2 and RoBERTa split it.

    A text is split into words, each with the space before it, and a word into its bytes, of which the pair that was
    learned first is joined again and again. All text has pieces. Reference: Sennrich et al., "Neural Machine
    Translation of Rare Words with Subword Units" (2016), on bytes: Radford et al., "Language Models are Unsupervised
    Multitask Learners" (2019).

    Args:
        vocabulary: the pieces by id, that of padding first, and one for each byte among them, written as GPT-2 does: a
            printable character of Latin-1 for itself, the other bytes as characters from U+0100 on.
        merges: the pairs in the order in which they were learned, such as `"t h"`.
        add_prefix_space: put a space before each text, so that its first word is one as any other.

    Raises:
        ValueError: when the vocabulary lacks a byte, has a piece twice, or lacks what a merge takes or gives.

    Example:

    >>> tokenizer = BytePair(["[PAD]", *BYTES, "re", "red"], ["r e", "re d"])
    >>> [tokenizer.vocabulary[i] for i in tokenizer.tokenize(tf.constant(["red tea"]))[0]]
    ['red', 'Ġ', 't', 'e', 'a']
    """

    unknown_token = None

    def __init__(self, vocabulary: Sequence[str], merges: Sequence[str], add_prefix_space: bool = False):
        self.vocabulary = list(vocabulary)
        self.merges = [str(merge) for merge in merges]
        self.add_prefix_space = add_prefix_space
        ids = {piece: index for index, piece in enumerate(self.vocabulary)}
        if len(ids) < len(self.vocabulary):
            raise ValueError(
                f"A piece stands once in the vocabulary of BytePair. Received: {len(self.vocabulary)} pieces, "
                f"{len(ids)} different ones"
            )
        if missing := [piece for piece in BYTES if piece not in ids]:
            raise ValueError(
                f"The vocabulary of BytePair has a piece for each of the 256 bytes. Missing: {missing[:5]}"
            )
        self._bytes = np.array([ids[piece] for piece in BYTES])
        self._pairs, self._merged = self._read_merges(ids)
        self._tables = None

    def _read_merges(self, ids):
        """For each merge the two ids as one number, and the id that they become."""
        pairs, merged = [], []
        for rank, merge in enumerate(self.merges):
            parts = merge.split(" ")
            if len(parts) != 2 or not {*parts, "".join(parts)} <= ids.keys():
                raise ValueError(
                    "A merge of BytePair is two pieces of the vocabulary with a space between them, which together are "
                    f"one of the vocabulary. Received: merges[{rank}]={merge!r}"
                )
            pairs.append(ids[parts[0]] * len(ids) + ids[parts[1]])
            merged.append(ids["".join(parts)])
        return np.array(pairs, "int64"), np.array([*merged, 0], "int64")

    def adapt(self, texts):
        """Nothing: the vocabulary is given."""

    @property
    def tables(self):
        """From two ids as one number to the rank of their merge."""
        if self._tables is None:
            with tf.init_scope():  # built once, also when first asked for inside a graph
                ranks = tf.range(len(self._pairs), dtype=tf.int64)
                initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(self._pairs, tf.int64), ranks)
                self._tables = {"merges": tf.lookup.StaticHashTable(initializer, len(self._pairs))}
        return self._tables

    def tokenize(self, texts, offsets=False):
        words = _split(tf.strings.join([" ", texts]) if self.add_prefix_space else texts)
        distinct, indices = tf.unique(words.flat_values)
        pieces = tf.gather(self._encode(distinct), indices)
        per_text = tf.RaggedTensor.from_row_splits(pieces, words.row_splits)
        ids = tf.cast(per_text.merge_dims(1, 2), tf.int32)
        return (ids, self._find_offsets(texts, ids)) if offsets else ids

    def _find_offsets(self, texts, ids):
        """The pieces of a text are all of its bytes, one after the other."""
        sizes = tf.gather(tf.constant([len(piece) for piece in self.vocabulary]), ids.flat_values)
        stops = tf.cumsum(sizes)
        before = tf.gather(tf.concat([[0], stops], 0), ids.row_starts())
        ends = stops - tf.gather(before, ids.value_rowids()) - int(self.add_prefix_space)
        starts = tf.maximum(ends - sizes, 0)
        characters = split_characters(texts)
        lengths = characters.with_flat_values(tf.strings.length(characters.flat_values))
        return find_characters(characters, lengths, *(ids.with_flat_values(part) for part in (starts, ends)))

    def _encode(self, words):
        """Strings `(words,)` to ids `(words, None)`."""
        split = tf.strings.bytes_split(words)
        codes = tf.cast(tf.reshape(tf.io.decode_raw(split.flat_values, tf.uint8), [-1]), tf.int32)
        ids = tf.gather(tf.constant(self._bytes, tf.int64), codes)
        owners = split.value_rowids()
        position = tf.range(tf.size(ids, tf.int64)) - tf.gather(split.row_starts(), owners)
        runs = tf.cumsum(tf.cast(position % _LONGEST_WORD == 0, tf.int64)) - 1
        owner_of_run = tf.math.segment_max(owners, runs)
        ids, runs = self._merge(ids, runs)
        return tf.RaggedTensor.from_value_rowids(ids, tf.gather(owner_of_run, runs), tf.size(words, tf.int64))

    def _merge(self, ids, runs):
        """Joins the pairs of ids within each run, the one with the lowest rank first, until none is left.

        Args:
            ids: int64 `(count,)`.
            runs: int64 `(count,)`, rising: which run an id belongs to.

        Returns: the same of those that are left.
        """
        none = tf.constant(len(self._pairs), tf.int64)

        def find_ranks(ids, runs, places):
            """Of the pairs of an id and the next one, at some places."""
            after = tf.minimum(places + 1, tf.size(ids, tf.int64) - 1)
            is_pair = (after > places) & (tf.gather(runs, after) == tf.gather(runs, places))
            pairs = tf.gather(ids, places) * len(self.vocabulary) + tf.gather(ids, after)
            return self.tables["merges"].lookup(tf.where(is_pair, pairs, -1))

        def join(ids, runs, ranks):
            count = tf.size(ids, tf.int64)
            places = tf.range(count)
            is_lowest = (ranks < none) & (ranks == tf.gather(tf.math.segment_min(ranks, runs), runs))
            first = tf.math.segment_min(tf.where(is_lowest, places, count), runs)
            is_joined = places == tf.gather(first, runs)
            ids = tf.where(is_joined, tf.gather(self._merged, ranks), ids)
            is_kept = tf.concat([[True], ~is_joined[:-1]], 0)
            ids, runs, ranks = (tf.boolean_mask(tensor, is_kept) for tensor in (ids, runs, ranks))
            joined = tf.gather(tf.cumsum(tf.cast(is_kept, tf.int64)) - 1, tf.where(is_joined)[:, 0])
            changed = tf.concat([joined, tf.maximum(joined - 1, 0)], 0)
            ranks = tf.tensor_scatter_nd_update(ranks, changed[:, tf.newaxis], find_ranks(ids, runs, changed))
            return ids, runs, ranks

        shape = tf.TensorShape([None])
        ids, runs, _ = tf.while_loop(
            lambda ids, runs, ranks: tf.reduce_any(ranks < none),
            join,
            (ids, runs, find_ranks(ids, runs, tf.range(tf.size(ids, tf.int64)))),
            shape_invariants=(shape, shape, shape),
        )
        return ids, runs

    def get_config(self):
        return {
            "vocabulary": self.vocabulary,
            "merges": self.merges,
            "add_prefix_space": self.add_prefix_space,
        }


def _list_bytes():
    """The 256 bytes as GPT-2 writes them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]


BYTES = _list_bytes()


def _split(texts):
    """Words `(batch, None)`, each with the space before it; of several spaces the others are a word.

    Which is what GPT-2's expression with a look ahead says, in the language of RE2, which has none.
    """
    words = tf_text.regex_split(texts, _WORDS, _WORDS)
    parts = tf_text.regex_split(words.flat_values, _PARTS, _PARTS)
    return tf.RaggedTensor.from_row_splits(parts, words.row_splits).merge_dims(1, 2)
