from collections import Counter
from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_text as tf_text

from mmkeras.preprocessing.lookup import make_table
from mmkeras.preprocessing.tokenizers.base import RESERVED_TOKENS, Tokenizer
from mmkeras.preprocessing.tokenizers.offsets import Offsets, find_characters, split_characters

_UNKNOWN = 1  # id of [UNK]
_NO_WORD = r"[^\p{L}\p{M}\p{N}]+"
_CLUSTER = r"\P{M}\p{M}*"
_SPLIT_TEXTS = 1000  # whose n-grams are in memory at once


@keras.saving.register_keras_serializable(package="mmkeras")
class NGrams(Tokenizer):
    """Every run of a few words, and of a few characters, that stands in the training texts: what linear models read.

    Text is normalized (NFKC) and its case folded. A word is a run of letters, marks and digits; a run of words is
    written `▁not▁good`. A run of characters may go over the ends of words, which a space stands for. What was not
    learned is left out; a text of which nothing was learned is one `[UNK]`.

    Args:
        vocabulary: the runs by id, behind `[PAD]` and `[UNK]`; None to learn them by `adapt`.
        words: fewest and most words of a run.
        characters: fewest and most characters of a run.
        min_count: how often a run has to stand in the training texts.
        vocabulary_size: how many runs to learn at most, the most frequent ones.

    Raises:
        ValueError: for lengths that are no range.

    Example:

    >>> tokenizer = mk.tokenizers.NGrams(characters=(3, 3), min_count=1)
    >>> tokenizer.adapt(["Not so good"])
    >>> [tokenizer.vocabulary[i] for i in tokenizer.tokenize(tf.constant(["so good"]))[0]]
    ['▁so', '▁good', '▁so▁good', ' so', 'so ', 'o g', ' go', 'goo', 'ood', 'od ']
    """

    longest_learned = 4096

    def __init__(
        self,
        vocabulary: Sequence[str] | None = None,
        words: tuple[int, int] = (1, 2),
        characters: tuple[int, int] = (3, 5),
        min_count: int = 2,
        vocabulary_size: int = 300_000,
    ):
        for name, lengths in {"words": words, "characters": characters}.items():
            if len(lengths) != 2 or not 1 <= lengths[0] <= lengths[1]:
                raise ValueError(
                    f"`{name}` of NGrams is the fewest and the most of a run, such as (1, 2). "
                    f"Received: {name}={lengths}"
                )
        self.vocabulary = None if vocabulary is None else list(vocabulary)
        self.words = tuple(words)
        self.characters = tuple(characters)
        self.min_count = min_count
        self.vocabulary_size = vocabulary_size
        self._tables = None

    def adapt(self, texts):
        if self.vocabulary is not None:
            return
        counts = Counter()
        split = tf.function(self._split, input_signature=[tf.TensorSpec((None,), tf.string)])
        for start in range(0, len(texts), _SPLIT_TEXTS):
            counts.update(split(tf.constant(texts[start : start + _SPLIT_TEXTS])).flat_values.numpy().tolist())
        often = [run for run, count in counts.items() if count >= self.min_count]
        kept = sorted(often, key=lambda run: (-counts[run], run))
        self.vocabulary = [*RESERVED_TOKENS[:2], *(run.decode() for run in kept[: self.vocabulary_size])]

    def _split(self, texts):
        """Strings `(batch, None)`: the runs of words, then those of characters."""
        texts = _fold(texts)
        words = tf.strings.split(tf.strings.regex_replace(texts, _NO_WORD, " "))
        texts = tf.strings.regex_replace(tf.strings.join([" ", texts, " "]), r"\s+", " ")
        characters = tf.strings.unicode_split(texts, "UTF-8")
        words = tf.ragged.map_flat_values(lambda word: tf.strings.join(["▁", word]), words)
        runs = [tf.strings.ngrams(words, length, separator="") for length in _count_up(self.words)]
        runs += [tf.strings.ngrams(characters, length, separator="") for length in _count_up(self.characters)]
        return tf.concat(runs, axis=1)

    @property
    def tables(self) -> dict[str, tf.lookup.StaticHashTable]:
        """What the graph looks runs up in."""
        if self._tables is None:
            self._tables = {"vocabulary": make_table(self.vocabulary[2:], 2, _UNKNOWN)}
        return self._tables

    def tokenize(self, texts, offsets=False):
        ids = tf.ragged.map_flat_values(self.tables["vocabulary"].lookup, self._split(texts))
        is_known = ids != _UNKNOWN
        known = tf.ragged.boolean_mask(ids, is_known)
        is_unknown = (known.row_lengths() == 0) & (ids.row_lengths() > 0)

        def add_unknown(known, values):
            """What is known of each text, and a value for the [UNK] of those of which nothing is."""
            values = tf.boolean_mask(tf.broadcast_to(values, tf.shape(is_unknown)), is_unknown)
            return tf.concat([known, tf.RaggedTensor.from_row_lengths(values, tf.cast(is_unknown, tf.int64))], axis=1)

        found = add_unknown(known, _UNKNOWN)
        if not offsets:
            return found
        starts, ends = (tf.ragged.boolean_mask(part, is_known) for part in self._find_offsets(texts))
        lengths = tf.strings.length(texts, "UTF8_CHAR")
        return found, Offsets(add_unknown(starts, 0), add_unknown(ends, lengths))

    def _find_offsets(self, texts):
        """Of the runs of `_split`: those of words, then those of characters."""
        characters = split_characters(texts)
        # A letter with its marks is normalized together, so that it is counted as its first character.
        clusters = tf_text.regex_split(texts, _CLUSTER, _CLUSTER)
        folded = tf.ragged.map_flat_values(_fold, clusters)
        sizes = tf.strings.length(clusters.flat_values, "UTF8_CHAR")
        firsts = tf.cumsum(sizes, exclusive=True)[:, tf.newaxis]
        lengths = tf.scatter_nd(firsts, tf.strings.length(folded.flat_values), [tf.reduce_sum(sizes)])
        joined = tf.strings.reduce_join(folded, axis=-1)
        _, *words = tf_text.regex_split_with_offsets(joined, _NO_WORD)
        letters = _find_letters(joined)
        runs = [_slice_runs(*words, length) for length in _count_up(self.words)]
        runs += [_slice_runs(*letters, length) for length in _count_up(self.characters)]
        starts, ends = (tf.concat(parts, axis=1) for parts in zip(*runs, strict=True))
        return find_characters(characters, characters.with_flat_values(lengths), starts, ends)

    def get_config(self):
        return {
            "vocabulary": self.vocabulary,
            "words": list(self.words),
            "characters": list(self.characters),
            "min_count": self.min_count,
            "vocabulary_size": self.vocabulary_size,
        }


def _fold(texts):
    return tf_text.case_fold_utf8(tf_text.normalize_utf8(texts, "NFKC"))


def _find_letters(texts):
    """Where the characters of texts begin and end, in bytes, with a space at either end, and one for several."""
    letters, starts = tf.strings.unicode_split_with_offsets(tf.strings.join([" ", texts, " "]), "UTF-8")
    is_space = tf.strings.regex_full_match(letters.flat_values, r"\s")
    is_first = tf.scatter_nd(
        letters.row_starts()[:, tf.newaxis], tf.ones_like(letters.row_starts(), tf.bool), tf.shape(is_space, tf.int64)
    )
    is_kept = letters.with_flat_values(is_first | ~is_space | ~tf.concat([[False], is_space[:-1]], 0))
    ends = starts + tf.cast(tf.strings.length(letters), starts.dtype)
    return [tf.cast(tf.ragged.boolean_mask(part, is_kept), tf.int64) - 1 for part in (starts, ends)]


def _slice_runs(starts, ends, length):
    """Of so many parts in a row where the first begins and the last ends."""
    return (starts if length == 1 else starts[:, : 1 - length]), ends[:, length - 1 :]


def _count_up(lengths):
    return range(lengths[0], lengths[1] + 1)
