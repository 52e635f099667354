from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_text as tf_text

from mmkeras.preprocessing.tokenizers.base import Tokenizer
from mmkeras.preprocessing.tokenizers.offsets import find_characters, split_characters

_LONGEST_WORD = 400  # bytes of a word that is split; a longer one is [UNK]


@keras.saving.register_keras_serializable(package="mmkeras")
class WordPiece(Tokenizer):
    """The longest pieces of a vocabulary, word by word, as BERT splits text (Devlin et al., 2018).

    Text is normalized, split at spaces, punctuation and around each Chinese character, and each word into the longest
    pieces; those that continue a word begin with `##`.

    A word with a character that no piece has is `[UNK]` as a whole; `SentencePiece` loses the character only, and suits
    scripts without spaces.

    Args:
        vocabulary: the pieces, `[PAD]` first and `[UNK]` among them, as those of a pretrained BERT.
        lowercase: fold case.
        strip_accents: take marks off letters; None for what `lowercase` says, as BERT does.

    Raises:
        ValueError: when the vocabulary does not begin with `[PAD]`, lacks `[UNK]`, or has a piece twice.

    Example:

    >>> mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "red", "##dish"]).tokenize(tf.constant(["Reddish, red"])).to_list()
    [[2, 3, 1, 2]]
    """

    def __init__(self, vocabulary: Sequence[str], lowercase: bool = True, strip_accents: bool | None = None):
        self.vocabulary = list(vocabulary)
        self.lowercase = lowercase
        self.strip_accents = lowercase if strip_accents is None else strip_accents
        self._ops = None
        self._check_vocabulary()

    def _check_vocabulary(self):
        if self.vocabulary[:1] != ["[PAD]"] or "[UNK]" not in self.vocabulary:
            raise ValueError(
                "The vocabulary of WordPiece has '[PAD]' as its first piece and '[UNK]' among the others. "
                f"Received: vocabulary={self.vocabulary[:5]}... of {len(self.vocabulary)} pieces"
            )
        if len(set(self.vocabulary)) < len(self.vocabulary):
            twice = sorted({piece for piece in self.vocabulary if self.vocabulary.count(piece) > 1})
            raise ValueError(f"A piece stands once in the vocabulary of WordPiece. Received twice: {twice[:5]}")

    def adapt(self, texts):
        """Nothing: the vocabulary is given."""

    def tokenize(self, texts, offsets=False):
        if self._ops is None:
            with tf.init_scope():  # its tables are built once, also when first asked for inside a graph
                self._ops = tf_text.FastBertTokenizer(
                    self.vocabulary,
                    max_bytes_per_word=_LONGEST_WORD,
                    lower_case_nfd_strip_accents=False,  # it would fold more than BERT does: ß to ss, … to ...
                    token_out_type=tf.int32,
                    support_detokenization=False,
                )
        if not offsets:
            return self._ops.tokenize(self._fold(texts))
        ids, starts, ends = self._ops.tokenize_with_offsets(self._fold(texts))
        characters = split_characters(texts)
        lengths = characters.with_flat_values(tf.strings.length(self._fold_unicode(characters.flat_values)))
        return ids, find_characters(characters, lengths, starts, ends)

    def _fold(self, texts):
        if not self.lowercase and not self.strip_accents:
            return texts
        is_ascii = tf.reduce_all(tf.strings.length(texts) == tf.strings.length(texts, "UTF8_CHAR"))
        in_ascii = tf.strings.lower if self.lowercase else tf.identity
        return tf.cond(is_ascii, lambda: in_ascii(texts), lambda: self._fold_unicode(texts))

    def _fold_unicode(self, texts):
        """Lower case, and decomposed (NFD) without the marks."""
        if self.strip_accents:
            texts = tf.strings.regex_replace(tf_text.normalize_utf8(texts, "NFD"), r"\p{Mn}", "")
        return tf.strings.lower(texts, encoding="utf-8") if self.lowercase else texts

    def get_config(self):
        return {
            "vocabulary": self.vocabulary,
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{key: value for key, value in config.items() if key != "vocabulary_size"})  # of older files
