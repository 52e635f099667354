"""Text to pieces of a vocabulary, in the graph."""

from collections.abc import Sequence

import keras
import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow_text.tools.wordpiece_vocab import bert_vocab_from_dataset

RESERVED_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Tokenizer:
    """Splits text into pieces and gives their ids, with TensorFlow ops only.

    Subclasses are registered with Keras, and keep their constructor arguments as attributes of the same name.

    Attributes:
        vocabulary: the pieces by id; None until they are known.
        unknown_token: the piece that stands for all that is not in the vocabulary.
    """

    vocabulary: list[str] | None
    unknown_token = "[UNK]"

    @property
    def is_adapted(self) -> bool:
        """Whether the vocabulary is known."""
        return self.vocabulary is not None

    def adapt(self, texts: Sequence[str]):
        """Learns the vocabulary, if it was not given."""
        raise NotImplementedError

    def tokenize(self, texts) -> tf.RaggedTensor:
        """String tensor `(batch,)` to int32 ids `(batch, None)`."""
        raise NotImplementedError

    def find_id(self, token: str) -> int:
        """The id of a piece.

        Raises:
            ValueError: when the vocabulary lacks it.
        """
        if token not in self.vocabulary:
            raise ValueError(f"The vocabulary of {type(self).__name__} lacks the piece {token!r}.")
        return self.vocabulary.index(token)

    def get_config(self) -> dict:
        raise NotImplementedError

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="mmkeras")
class WordPiece(Tokenizer):
    """The longest pieces of a vocabulary, word by word, as BERT splits text (Devlin et al., 2018).

    Text is normalized, split at spaces, punctuation and around each Chinese character, and each word into the longest
    pieces; those that continue a word begin with `##`.

    Args:
        vocabulary: the pieces, `[PAD]` first and `[UNK]` among them; None to learn them by `adapt`.
        vocabulary_size: how many pieces `adapt` aims at.
        lowercase: fold case.
        strip_accents: take marks off letters; None for what `lowercase` says, as BERT does.

    Raises:
        ValueError: when the vocabulary does not begin with `[PAD]`, lacks `[UNK]`, or has a piece twice.

    Example:

    >>> mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "red", "##dish"]).tokenize(tf.constant(["Reddish, red"])).to_list()
    [[2, 3, 1, 2]]
    """

    def __init__(
        self,
        vocabulary: Sequence[str] | None = None,
        vocabulary_size: int = 8000,
        lowercase: bool = True,
        strip_accents: bool | None = None,
    ):
        self.vocabulary = None if vocabulary is None else list(vocabulary)
        self.vocabulary_size = vocabulary_size
        self.lowercase = lowercase
        self.strip_accents = lowercase if strip_accents is None else strip_accents
        self._ops = None
        if self.vocabulary is not None:
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
        if self.vocabulary is None:
            self.vocabulary = bert_vocab_from_dataset.bert_vocab_from_dataset(
                tf.data.Dataset.from_tensor_slices(list(texts)).batch(1000).map(self._fold),
                self.vocabulary_size,
                list(RESERVED_TOKENS),
                bert_tokenizer_params={"lower_case": False},
            )

    def tokenize(self, texts):
        if self._ops is None:
            with tf.init_scope():  # its tables are built once, also when first asked for inside a graph
                self._ops = tf_text.FastBertTokenizer(
                    self.vocabulary,
                    lower_case_nfd_strip_accents=False,  # it would fold more than BERT does: ß to ss, … to ...
                    token_out_type=tf.int32,
                    support_detokenization=False,
                )
        return self._ops.tokenize(self._fold(texts))

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
            "vocabulary_size": self.vocabulary_size,
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
        }
