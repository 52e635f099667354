import base64
import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import keras
import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow_text.python.ops.sentencepiece_tokenizer import gen_sentencepiece_tokenizer as _ops

from mmkeras.preprocessing.tokenizers.base import RESERVED_TOKENS, Tokenizer
from mmkeras.preprocessing.tokenizers.offsets import find_characters, split_characters

_LEARN = Path(__file__).parent.parent / "scripts" / "learn_pieces.py"
_TIE = 1e-6  # of two ways with as few pieces the one with those learned earlier
_LEARNED_LINES, _LONGEST_LINE = 200_000, 1 << 20  # lines taken at random where there are more, and their bytes


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

    def tokenize(self, texts, offsets=False):
        if offsets:
            return self._tokenize_with_offsets(texts)
        if self._ops is None:
            with tf.init_scope():
                self._ops = tf_text.FastSentencepieceTokenizer(self.model)
        return self._ops.tokenize(texts)

    def _tokenize_with_offsets(self, texts):
        """By the slower tokenizer, which is the only one to count bytes.

        By its ops, since the model belongs to the kernel of an op, which TensorFlow may drop, as `tf.random.set_seed`
        does: an object that was made before then refers to nothing.
        """
        model = _ops.sentencepiece_op(model=self.model)
        flat, splits, starts, ends = _ops.sentencepiece_tokenize_with_offsets_op(
            model, texts, nbest_size=0, alpha=1.0, add_bos=False, add_eos=False, reverse=False, out_type=tf.int32
        )
        ids, starts, ends = (tf.RaggedTensor.from_row_splits(part, splits) for part in (flat, starts, ends))
        characters = split_characters(texts)
        lengths = characters.with_flat_values(tf.strings.length(characters.flat_values))
        return ids, find_characters(characters, lengths, starts, ends)

    def get_config(self):
        model = None if self.model is None else base64.b64encode(self.model).decode()
        return {"model": model, "vocabulary_size": self.vocabulary_size, "lowercase": self.lowercase}


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
