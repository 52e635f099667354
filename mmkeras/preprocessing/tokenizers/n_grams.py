from collections import Counter
from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_text as tf_text

from mmkeras.preprocessing.lookup import make_table
from mmkeras.preprocessing.tokenizers.base import RESERVED_TOKENS, Tokenizer

_UNKNOWN = 1  # id of [UNK]
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
        texts = tf_text.case_fold_utf8(tf_text.normalize_utf8(texts, "NFKC"))
        words = tf.strings.split(tf.strings.regex_replace(texts, r"[^\p{L}\p{M}\p{N}]+", " "))
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

    def tokenize(self, texts):
        ids = tf.ragged.map_flat_values(self.tables["vocabulary"].lookup, self._split(texts))
        known = tf.ragged.boolean_mask(ids, ids != _UNKNOWN)
        is_unknown = (known.row_lengths() == 0) & (ids.row_lengths() > 0)
        unknown = tf.RaggedTensor.from_row_lengths(
            tf.fill([tf.reduce_sum(tf.cast(is_unknown, tf.int32))], _UNKNOWN), tf.cast(is_unknown, tf.int64)
        )
        return tf.concat([known, unknown], axis=1)

    def get_config(self):
        return {
            "vocabulary": self.vocabulary,
            "words": list(self.words),
            "characters": list(self.characters),
            "min_count": self.min_count,
            "vocabulary_size": self.vocabulary_size,
        }


def _count_up(lengths):
    return range(lengths[0], lengths[1] + 1)
