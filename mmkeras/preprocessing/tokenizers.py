"""Text to pieces of a vocabulary, in the graph."""

import base64
import importlib.util
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import keras
import tensorflow as tf
import tensorflow_text as tf_text

from mmkeras.preprocessing.lookup import make_table

_LEARN = Path(__file__).parent / "scripts" / "learn_pieces.py"
RESERVED_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_LONGEST_WORD = 400  # bytes of a word that WordPiece splits; a longer one is [UNK]
_UNKNOWN = 1  # id of [UNK] among n-grams
_SPLIT_TEXTS = 1000  # whose n-grams are in memory at once
_TIE = 1e-6  # of two ways with as few pieces the one with those learned earlier
_LEARNED_LINES, _LONGEST_LINE = 200_000, 1 << 20  # lines taken at random where there are more, and their bytes


class Tokenizer:
    """Splits text into pieces and gives their ids, with TensorFlow ops only.

    Subclasses are registered with Keras, and keep their constructor arguments as attributes of the same name.

    Attributes:
        vocabulary: the pieces by id; None until they are known.
        unknown_token: the piece that stands for all that is not in the vocabulary.
        longest_learned: the most pieces of a text that `mk.Text` takes by itself.
        tables: the lookup tables that its graph uses, which a SavedModel must know of.
    """

    vocabulary: list[str] | None
    unknown_token = "[UNK]"
    longest_learned = 512
    tables: dict = {}

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

    def __reduce__(self):  # without ops, which cannot be pickled
        return type(self).from_config, (self.get_config(),)


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

    def tokenize(self, texts):
        if self._ops is None:
            with tf.init_scope():  # its tables are built once, also when first asked for inside a graph
                self._ops = tf_text.FastBertTokenizer(
                    self.vocabulary,
                    max_bytes_per_word=_LONGEST_WORD,
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
            "lowercase": self.lowercase,
            "strip_accents": self.strip_accents,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{key: value for key, value in config.items() if key != "vocabulary_size"})  # of older files


@keras.saving.register_keras_serializable(package="mmkeras")
class SentencePiece(Tokenizer):
    """The pieces that SentencePiece finds in a text (Kudo and Richardson, 2018).

    Pieces may begin and end anywhere in a word, so that it suits scripts with and without spaces; one that begins a
    word starts with `▁`. Text is normalized by NFKC, which keeps accents and vowel signs. A character that was not
    learned is one `[UNK]`.

    The vocabulary is that of byte-pair encoding (Sennrich et al., 2016), and a text is split into as few of its pieces
    as possible (Schmidt et al., "Tokenization Is More Than Compression", 2024): it is written as a unigram model in
    which every piece costs the same, which TensorFlow Text runs fastest.

    Args:
        model: the bytes of a SentencePiece unigram model, or the same in base64; None to learn one by `adapt`.
        vocabulary_size: how many pieces to learn at most.
        lowercase: fold case, in what is learned.

    Raises:
        ValueError: for a model of another kind, or without padding as its piece 0; for texts without a character that
            can be learned.

    Example:

    >>> tokenizer = mk.tokenizers.SentencePiece()
    >>> tokenizer.adapt(["red tea", "red cup", "tea cup"] * 10)
    >>> [tokenizer.vocabulary[i] for i in tokenizer.tokenize(tf.constant(["Red cup"]))[0]]
    ['▁red', '▁cup']
    """

    def __init__(self, model: bytes | str | None = None, vocabulary_size: int = 8000, lowercase: bool = True):
        self.model = base64.b64decode(model) if isinstance(model, str) else model
        self.vocabulary_size = vocabulary_size
        self.lowercase = lowercase
        self.vocabulary = None
        self._ops = None
        if self.model is not None:
            self._read_model()

    def _read_model(self):
        model = parse_model(self.model)
        self.vocabulary = [piece.piece for piece in model.pieces]
        self.unknown_token = self.vocabulary[model.trainer_spec.unk_id]
        if model.trainer_spec.model_type != model.trainer_spec.UNIGRAM or model.trainer_spec.pad_id != 0:
            raise ValueError(
                "SentencePiece takes a unigram model whose piece 0 is the padding (`--model_type=unigram --pad_id=0 "
                f"--unk_id=1`). Received: model_type={model.trainer_spec.model_type}, "
                f"pad_id={model.trainer_spec.pad_id}"
            )

    def adapt(self, texts):
        if self.model is not None:
            return
        counts = Counter(character for text in texts for character in text)
        common = {character for character, _ in counts.most_common(self.vocabulary_size // 2)}
        lines = ("".join(filter(common.__contains__, line)) for text in texts for line in text.splitlines())
        model = parse_model(self._learn([line for line in lines if line.strip()]))
        model.trainer_spec.model_type = model.trainer_spec.UNIGRAM
        for rank, piece in enumerate(model.pieces):
            if piece.type == piece.NORMAL:
                piece.score = -1 - _TIE * rank
        self.model = model.SerializeToString()
        self._read_model()

    def _learn(self, lines):
        options = dict(
            model_type="bpe",
            vocab_size=self.vocabulary_size,
            hard_vocab_limit=False,  # small data have fewer pieces
            character_coverage=1.0,
            normalization_rule_name="nmt_nfkc_cf" if self.lowercase else "nmt_nfkc",
            pad_id=0,
            unk_id=1,
            bos_id=-1,
            eos_id=-1,
            pad_piece="[PAD]",
            unk_piece="[UNK]",
            control_symbols=list(RESERVED_TOKENS[2:]),
            input_sentence_size=_LEARNED_LINES,
            max_sentence_length=_LONGEST_LINE,
            num_threads=1,  # the same model on any machine
            minloglevel=2,
        )
        # Apart: TensorFlow Text holds another SentencePiece, and both in one process have ended it.
        command = [sys.executable, "-P", str(_LEARN), json.dumps(options)]
        process = subprocess.run(command, input="\n".join(lines).encode(), capture_output=True)
        if process.returncode != 0:
            error = process.stderr.decode(errors="replace").strip()
            raise ValueError(f"SentencePiece learns nothing from these {len(lines):,} lines: {error}")
        return process.stdout

    def tokenize(self, texts):
        if self._ops is None:
            with tf.init_scope():
                self._ops = tf_text.FastSentencepieceTokenizer(self.model)
        return self._ops.tokenize(texts)

    def get_config(self):
        model = None if self.model is None else base64.b64encode(self.model).decode()
        return {"model": model, "vocabulary_size": self.vocabulary_size, "lowercase": self.lowercase}


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


def parse_model(model: bytes):
    """The parts of a SentencePiece model."""
    return _messages.ModelProto.FromString(model)


def _load_messages():
    """The messages that a SentencePiece model consists of, without SentencePiece's own code: see `_learn`."""
    name = "sentencepiece.sentencepiece_model_pb2"
    if name not in sys.modules:
        package = importlib.util.find_spec("sentencepiece")
        path = Path(package.submodule_search_locations[0]) / "sentencepiece_model_pb2.py"
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module  # they can be declared once only
    return sys.modules[name]


_messages = _load_messages()
