"""Text to token ids."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from mmkeras.data.report import Finding
from mmkeras.preprocessing.base import Preprocessor
from mmkeras.preprocessing.places import Places
from mmkeras.preprocessing.tokenizers import RESERVED_TOKENS, SentencePiece, Tokenizer

_MEASURED = 1000  # texts at once; of more, the SentencePiece of TensorFlow Text 2.16 may end the process


@keras.saving.register_keras_serializable(package="mmkeras")
class TextPreprocessor(Preprocessor):
    """Text to the ids of its pieces, `(batch, sequence_length)` int32, padded with 0 and cut at the end.

    Text of white space only counts as absent.

    Args:
        tokenizer: a `Tokenizer`; None for `SentencePiece()`.
        sequence_length: tokens a row, with those that are added; None to learn the length of the longest text by
            `adapt`.
        max_sequence_length: the most that is learned so; None for 512, of n-grams 4096.
        start_token: a piece to put before each text, such as `[CLS]`; None for nothing.
        end_token: a piece to put behind each text, such as `[SEP]`, also where the text is cut; None for nothing.

    Raises:
        TypeError: for a tokenizer that is none.
        ValueError: for a sequence length that leaves no token for the text.

    Example:

    >>> text = TextPreprocessor(mk.tokenizers.WordPiece(["[PAD]", "[UNK]", "red", "blue"]), sequence_length=4)
    >>> text.prepare_batch(tf.constant(["Red, blue"])).numpy().tolist()
    [[2, 1, 3, 0]]
    """

    dtype = "int32"

    def __init__(
        self,
        tokenizer: Tokenizer | None = None,
        sequence_length: int | None = None,
        start_token: str | None = None,
        end_token: str | None = None,
        max_sequence_length: int | None = None,
    ):
        if tokenizer is not None and not isinstance(tokenizer, Tokenizer):
            raise TypeError(
                "`tokenizer` of Text is an object from `mk.tokenizers`, such as WordPiece(vocabulary). "
                f"Received: tokenizer of type {type(tokenizer).__name__}"
            )
        self.tokenizer = SentencePiece() if tokenizer is None else tokenizer
        self.sequence_length = sequence_length
        self.start_token = start_token
        self.end_token = end_token
        self.max_sequence_length = max_sequence_length
        if sequence_length is not None and sequence_length <= self._added_count:
            raise ValueError(
                f"`sequence_length` of Text is at least {self._added_count + 1}. "
                f"Received: sequence_length={sequence_length}"
            )
        if sequence_length is not None and sequence_length > (max_sequence_length or sequence_length):
            raise ValueError(
                f"`sequence_length` of Text is at most `max_sequence_length`, {max_sequence_length}. "
                f"Received: sequence_length={sequence_length}"
            )

    @property
    def vocabulary(self) -> list[str] | None:
        """The pieces by id."""
        return self.tokenizer.vocabulary

    @property
    def _added_count(self):
        return sum(token is not None for token in (self.start_token, self.end_token))

    @property
    def is_adapted(self) -> bool:
        return self.tokenizer.is_adapted and self.sequence_length is not None

    @property
    def shape(self):
        self._require_adapted()
        return (self.sequence_length,)

    def _require_adapted(self):
        if not self.is_adapted:
            raise ValueError(
                "Text has not seen data yet: call `adapt(texts)`, build the model with `from_source`, "
                "or give both a tokenizer with a vocabulary and `sequence_length`. "
                f"Received: vocabulary={self.vocabulary and len(self.vocabulary)}, "
                f"sequence_length={self.sequence_length}"
            )

    def adapt(self, texts: Sequence[str]):
        """Learns what was not given: the vocabulary and the sequence length."""
        texts = [text for text in texts if text.strip()]
        if not texts:
            raise ValueError("Text learns its vocabulary from at least one text, and every cell is empty.")
        self.tokenizer.adapt(texts)
        if self.sequence_length is None:
            longest = int(self._measure_all(texts)[1].max())
            most = self.max_sequence_length or self.tokenizer.longest_learned
            self.sequence_length = min(longest + self._added_count, most)

    def locate(self, cells=None):
        if cells is None:
            raise ValueError("The pieces of each text lie elsewhere in it: locate(preprocessor, cells).")
        parts = [cells[start : start + _MEASURED] for start in range(0, len(cells), _MEASURED)]
        found = [self.compile(self.locate_pieces)(tf.constant(part)) for part in parts]
        starts, ends = (np.concatenate(part)[..., np.newaxis] for part in zip(*found, strict=True))
        return Places("characters", starts, ends)

    def locate_pieces(self, batch):
        """Where the pieces of texts `(batch,)` begin and end, in characters, int32 `(batch, sequence_length)` each.

        Added pieces are empty, before and behind the text, and so is padding.
        """
        self._require_adapted()
        _, offsets = self.tokenizer.tokenize(batch, offsets=True)
        most = self.sequence_length - self._added_count
        lengths = tf.strings.length(batch, "UTF8_CHAR")[:, tf.newaxis]
        before = [] if self.start_token is None else [tf.zeros_like(lengths)]
        behind = [] if self.end_token is None else [lengths]
        joined = [tf.concat([*before, part[:, :most], *behind], axis=1) for part in offsets]
        return tuple(part.to_tensor(0, shape=(None, self.sequence_length)) for part in joined)

    def prepare_batch(self, batch):
        self._require_adapted()
        ids = self.tokenizer.tokenize(batch)[:, : self.sequence_length - self._added_count]
        if self._added_count:
            column = tf.ones_like(ids.row_lengths(), tf.int32)[:, None]
            start, end = (
                [] if token is None else [column * self.tokenizer.find_id(token)]
                for token in (self.start_token, self.end_token)
            )
            ids = tf.concat([*start, ids, *end], axis=1)
        return ids.to_tensor(0, shape=(None, self.sequence_length))

    def find_remarks(self, cells, measures=None):
        if self.vocabulary is None:
            return super().find_remarks(cells)
        if measures is None:
            measures = self._measure_all(cells)
        return [self._find(*facts) for facts in zip(*measures, strict=True)]

    def measure(self, texts):
        """For each text whether the model sees none of its words, and how many tokens it has."""
        ids = self.tokenizer.tokenize(texts)
        is_word = tf.constant(
            [any(map(str.isalnum, piece)) and piece not in RESERVED_TOKENS for piece in self.vocabulary]
        )
        has_known = tf.reduce_any(tf.ragged.map_flat_values(lambda flat: tf.gather(is_word, flat), ids), axis=1)
        unknown = self.tokenizer.unknown_token
        has_unknown = tf.reduce_any(ids == (-1 if unknown is None else self.tokenizer.find_id(unknown)), axis=1)
        return has_unknown & ~has_known, ids.row_lengths()

    def _measure_all(self, cells):
        """`measure` of any number of cells, as arrays."""
        parts = [cells[start : start + _MEASURED] for start in range(0, len(cells), _MEASURED)]
        measured = [self.compile(self.measure)(tf.constant(part)) for part in parts]
        return [np.concatenate([tensor.numpy() for tensor in tensors]) for tensors in zip(*measured, strict=True)]

    def _find(self, unreadable, length):
        if unreadable:
            finding = Finding(
                "unknown words only",
                f"none of its words is in the vocabulary of {len(self.vocabulary)} pieces, the model sees only [UNK]",
                "train on text in this script, or give Text a vocabulary that has it",
                False,
            )
        elif self.sequence_length and length + self._added_count > self.sequence_length:
            finding = Finding(
                "text cut",
                f"it has {length} tokens, and those after the first {self.sequence_length - self._added_count} are cut",
                f"give Text a `sequence_length` of {length + self._added_count}",
                False,
            )
        else:
            return []
        return [finding]

    @property
    def tables(self):
        """What the graph of the tokenizer looks pieces up in."""
        return self.tokenizer.tables

    def get_config(self) -> dict:
        return {
            "tokenizer": keras.saving.serialize_keras_object(self.tokenizer),
            "sequence_length": self.sequence_length,
            "start_token": self.start_token,
            "end_token": self.end_token,
            "max_sequence_length": self.max_sequence_length,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "tokenizer": keras.saving.deserialize_keras_object(config["tokenizer"])})
