"""What every tokenizer does: from text to the ids of its pieces."""

from collections.abc import Sequence

import tensorflow as tf

from mmkeras.preprocessing.tokenizers.offsets import Offsets
from mmkeras.representation import Represented

RESERVED_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Tokenizer(Represented):
    """Splits text into pieces and gives their ids, with TensorFlow ops only.

    Subclasses are registered with Keras, and keep their constructor arguments as attributes of the same name.

    Attributes:
        vocabulary: the pieces by id; None until they are known.
        unknown_token: the piece that stands for all that is not in the vocabulary; None where all text has pieces.
        longest_learned: the most pieces of a text that `mk.Text` takes by itself.
        tables: the lookup tables that its graph uses, which a SavedModel must know of.
    """

    vocabulary: list[str] | None
    unknown_token: str | None = "[UNK]"
    longest_learned = 512
    tables: dict = {}

    @property
    def is_adapted(self) -> bool:
        """Whether the vocabulary is known."""
        return self.vocabulary is not None

    def adapt(self, texts: Sequence[str]):
        """Learns the vocabulary, if it was not given."""
        raise NotImplementedError

    def tokenize(self, texts, offsets: bool = False) -> tf.RaggedTensor | tuple[tf.RaggedTensor, Offsets]:
        """String tensor `(batch,)` to int32 ids `(batch, None)`.

        Args:
            texts: the strings.
            offsets: to give a tuple of the ids and of the `Offsets` of the pieces, in characters of the texts.

        Raises:
            NotImplementedError: with `offsets`, by a tokenizer that does not count them.
        """
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
