"""Text to token ids."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow_text.tools.wordpiece_vocab import bert_vocab_from_dataset

from mmkeras.data.report import Finding
from mmkeras.preprocessing.base import Preprocessor

RESERVED_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_LEARNED = 512


class TextPreprocessor(Preprocessor):
    """Text to the ids of its word pieces, `(batch, sequence_length)` int32, padded with 0 and cut at the end.

    Splits as BERT does (Devlin et al., 2018): normalize, split at spaces, punctuation and around each Chinese
    character, then take the longest pieces of the vocabulary. Text of white space only counts as absent.

    Args:
        vocabulary: the pieces, `[PAD]` first and `[UNK]` among them; None to learn them by `adapt`.
        sequence_length: tokens a row; None to learn the length of the longest text by `adapt`, at most 512.
        vocabulary_size: how many pieces `adapt` aims at.
        lowercase: fold case and strip accents.

    Raises:
        ValueError: when the vocabulary lacks `[PAD]` as its first piece, lacks `[UNK]`, or has a piece twice.

    Example:

    >>> text = TextPreprocessor(["[PAD]", "[UNK]", "red", "blue"], sequence_length=4)
    >>> text.prepare_batch(tf.constant(["Red, blue"])).numpy().tolist()
    [[2, 1, 3, 0]]
    """

    dtype = "int32"

    def __init__(
        self,
        vocabulary: Sequence[str] | None = None,
        sequence_length: int | None = None,
        vocabulary_size: int = 8000,
        lowercase: bool = True,
    ):
        self.vocabulary = None if vocabulary is None else list(vocabulary)
        self.sequence_length = sequence_length
        self.vocabulary_size = vocabulary_size
        self.lowercase = lowercase
        self._tokenizer = None
        if self.vocabulary is not None:
            self._check_vocabulary()

    def _check_vocabulary(self):
        if self.vocabulary[:1] != ["[PAD]"] or "[UNK]" not in self.vocabulary:
            raise ValueError(
                "The vocabulary of Text has '[PAD]' as its first piece and '[UNK]' among the others. "
                f"Received: vocabulary={self.vocabulary[:5]}... of {len(self.vocabulary)} pieces"
            )
        if len(set(self.vocabulary)) < len(self.vocabulary):
            twice = sorted({piece for piece in self.vocabulary if self.vocabulary.count(piece) > 1})
            raise ValueError(f"A piece stands once in the vocabulary of Text. Received twice: {twice[:5]}")

    @property
    def is_adapted(self) -> bool:
        return self.vocabulary is not None and self.sequence_length is not None

    @property
    def shape(self):
        self._require_adapted()
        return (self.sequence_length,)

    def _require_adapted(self):
        if not self.is_adapted:
            raise ValueError(
                "Text has not seen data yet: call `adapt(texts)`, build the model with `from_source`, "
                "or give both `vocabulary` and `sequence_length`. "
                f"Received: vocabulary={self.vocabulary and len(self.vocabulary)}, "
                f"sequence_length={self.sequence_length}"
            )

    @property
    def tokenizer(self) -> tf_text.FastBertTokenizer:
        if self._tokenizer is None:
            with tf.init_scope():  # its tables are built once, also when first asked for inside a graph
                self._tokenizer = tf_text.FastBertTokenizer(
                    self.vocabulary,
                    lower_case_nfd_strip_accents=False,  # it would fold more than BERT does: ß to ss, … to ...
                    token_out_type=tf.int32,
                    support_detokenization=False,
                )
        return self._tokenizer

    def adapt(self, texts: Sequence[str]):
        """Learns what was not given: the vocabulary (WordPiece) and the sequence length."""
        texts = [text for text in texts if text.strip()]
        if not texts:
            raise ValueError("Text learns its vocabulary from at least one text, and every cell is empty.")
        if self.vocabulary is None:
            self.vocabulary = bert_vocab_from_dataset.bert_vocab_from_dataset(
                tf.data.Dataset.from_tensor_slices(texts).batch(1000).map(self._fold),
                self.vocabulary_size,
                list(RESERVED_TOKENS),
                bert_tokenizer_params={"lower_case": False},
            )
        if self.sequence_length is None:
            longest = int(tf.reduce_max(self._tokenize(tf.constant(texts)).row_lengths()))
            self.sequence_length = min(longest, LONGEST_LEARNED)

    def _fold(self, texts):
        if not self.lowercase:
            return texts
        is_ascii = tf.reduce_all(tf.strings.length(texts) == tf.strings.length(texts, "UTF8_CHAR"))
        return tf.cond(is_ascii, lambda: tf.strings.lower(texts), lambda: _fold_unicode(texts))

    def _tokenize(self, texts) -> tf.RaggedTensor:
        return self.tokenizer.tokenize(self._fold(texts))

    def prepare_batch(self, batch):
        self._require_adapted()
        return self._tokenize(batch).to_tensor(0, shape=(None, self.sequence_length))

    def find_problems(self, cells):
        if self.vocabulary is None:
            return super().find_problems(cells)
        ids = self._tokenize(tf.constant(cells))
        is_word = tf.constant(
            [any(map(str.isalnum, piece)) and piece not in RESERVED_TOKENS for piece in self.vocabulary]
        )
        has_known = tf.reduce_any(tf.ragged.map_flat_values(lambda flat: tf.gather(is_word, flat), ids), axis=1)
        has_unknown = tf.reduce_any(ids == self.vocabulary.index("[UNK]"), axis=1)
        unreadable = (has_unknown & ~has_known).numpy()
        return [self._find(*facts) for facts in zip(unreadable, ids.row_lengths().numpy(), strict=True)]

    def _find(self, unreadable, length):
        if unreadable:
            finding = Finding(
                "unknown words only",
                f"none of its words is in the vocabulary of {len(self.vocabulary)} pieces, the model sees only [UNK]",
                "train on text in this script, or give Text a vocabulary that has it",
                False,
            )
        elif self.sequence_length and length > self.sequence_length:
            finding = Finding(
                "text cut",
                f"it has {length} tokens, and those after the first {self.sequence_length} are cut",
                f"give Text a `sequence_length` of {length}",
                False,
            )
        else:
            return []
        return [finding]

    def get_config(self) -> dict:
        return {
            "vocabulary": self.vocabulary,
            "sequence_length": self.sequence_length,
            "vocabulary_size": self.vocabulary_size,
            "lowercase": self.lowercase,
        }


def _fold_unicode(texts):
    """Lower case without accents: decomposed (NFD), without the marks."""
    decomposed = tf_text.normalize_utf8(texts, "NFD")
    return tf.strings.lower(tf.strings.regex_replace(decomposed, r"\p{Mn}", ""), encoding="utf-8")
