import keras
from keras import ops

from mmkeras.preprocessing.tokenizers import RESERVED_TOKENS
from mmkeras.pretraining.base import Objective, encode
from mmkeras.pretraining.tokens import find_embedding, measure_tokens, name_pieces, require_pieces, score_pieces

_MASKS = ("[MASK]", "<mask>")
_MASKED, _REPLACED = 0.8, 0.1  # of the chosen pieces; the others stay


@keras.saving.register_keras_serializable(package="mmkeras")
class PieceMasking(keras.layers.Layer):
    """Chooses pieces of a text at random, and hides most of them: 80 % are masked, 10 % replaced by others.

    Args:
        rate: share of the pieces of a text that is chosen, at least one.
        mask_id: of the piece that stands for a hidden one.
        kept_ids: of pieces that are never chosen.
        pieces: how many there are.
        seed: of what is chosen.

    Call arguments:
        ids: int `(batch, length)`, 0 for padding.

    Returns: the ids with hidden pieces, `(batch, length)`; where the chosen ones stand, int `(batch, count)`; and which
        of these count, bool `(batch, count)`: short texts have fewer.
    """

    def __init__(self, rate, mask_id, kept_ids, pieces, seed=None, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})
        self.rate, self.mask_id, self.kept_ids, self.pieces = rate, mask_id, tuple(kept_ids), pieces
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def count(self, length):
        """How many pieces of a text of this length are chosen at most."""
        return max(1, round(self.rate * length))

    def call(self, ids):
        is_real = ops.not_equal(ids, 0)
        can_hide = is_real
        for kept in self.kept_ids:
            can_hide = ops.logical_and(can_hide, ops.not_equal(ids, kept))
        shape = ops.shape(ids)
        drawn = keras.random.uniform(shape, seed=self.generator) + 1.0
        scores, places = ops.top_k(ops.where(can_hide, drawn, ops.zeros_like(drawn)), self.count(ids.shape[1]))
        wanted = ops.maximum(ops.round(self.rate * ops.sum(ops.cast(is_real, "float32"), axis=1)), 1.0)
        order = ops.arange(places.shape[1], dtype="float32")
        counts = ops.logical_and(scores > 0, order < ops.expand_dims(wanted, 1))
        chosen = ops.sum(ops.one_hot(places, ids.shape[1]) * ops.expand_dims(ops.cast(counts, "float32"), 2), axis=1)
        fate = keras.random.uniform(shape, seed=self.generator)
        others = keras.random.randint(shape, 1, self.pieces, dtype="int32", seed=self.generator)
        hidden = ops.where(fate < _MASKED, self.mask_id, ops.where(fate < _MASKED + _REPLACED, others, ids))
        return ops.where(chosen > 0, hidden, ids), places, counts

    def compute_output_spec(self, ids):
        chosen = (ids.shape[0], self.count(ids.shape[1]))
        return (
            keras.KerasTensor(ids.shape, dtype=ids.dtype),
            keras.KerasTensor(chosen, dtype="int32"),
            keras.KerasTensor(chosen, dtype="bool"),
        )

    def get_config(self):
        own = ("rate", "mask_id", "kept_ids", "pieces", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package="mmkeras")
class MaskedLanguage(Objective):
    """Hidden pieces of a text are told from the others.

    Of the chosen pieces 80 % are masked, 10 % replaced by others, 10 % stay. Reference: Devlin et al., "BERT:
    Pre-training of Deep Bidirectional Transformers for Language Understanding" (2018), section 3.1.

    Args:
        input: name of the input, a text whose vocabulary has a piece `[MASK]` or `<mask>`, as those that are learned.
        rate: share of the pieces that is chosen, at least one of each text.
        weight, name: see `Objective`.

    Metrics: accuracy of the chosen pieces.

    Raises:
        ValueError: for a rate that is none; in a `Pretrainer`, for an input that is no such text.

    Example:

    >>> rows = mk.read([{"text": text} for text in ("red tea is hot", "blue ice is cold") * 8])
    >>> text = mk.Text(encoder=mk.encoders.TextTransformer(units=16))
    >>> pretrainer = mk.pretraining.Pretrainer.from_source(
    ...     rows, {"text": text}, [mk.pretraining.MaskedLanguage("text")]
    ... )
    >>> history = pretrainer.fit(pretrainer.dataset(rows, 8), verbose=0).history
    >>> 0 <= history["masked_language_text_accuracy"][0] <= 1
    True
    """

    kind = "masked_language"
    metric_names = ("accuracy",)

    def __init__(self, input: str, rate: float = 0.15, weight: float = 1.0, name: str | None = None):
        super().__init__((input,), weight, name)
        if not 0 < rate < 1:
            raise ValueError(f"`rate` of MaskedLanguage is a share, more than 0, less than 1. Received: rate={rate}")
        self.input = input
        self.rate = rate

    def used_features(self, backbone):
        return {self.input: {"tokens", "mask", "present"}}

    def connect(self, backbone, connected):
        preprocessor = require_pieces(self, backbone, self.input)
        vocabulary = preprocessor.vocabulary
        masks = [piece for piece in _MASKS if piece in vocabulary]
        if not masks:
            raise ValueError(
                f"MaskedLanguage hides pieces behind one of {list(_MASKS)}, which the vocabulary of '{self.input}' "
                f"does not have. Received: {type(preprocessor.tokenizer).__name__} with {len(vocabulary)} pieces"
            )
        special = {*RESERVED_TOKENS, preprocessor.start_token, preprocessor.end_token}
        kept = [index for index, piece in enumerate(vocabulary) if piece in special]
        layer = PieceMasking(
            self.rate, vocabulary.index(masks[0]), kept, len(vocabulary), name=self.layer_name("masking")
        )
        ids = backbone.input[self.input]
        hidden, places, counts = layer(ids)
        tokens = encode(backbone, self.input, hidden)["tokens"]
        chosen = ops.take_along_axis(tokens, ops.expand_dims(places, 2), axis=1)
        present = backbone.input[backbone.preprocessor.tensor_names(self.input)["present"]]
        embedding = find_embedding(backbone.encoders[self.input], len(vocabulary))
        return {
            "logits": score_pieces(self, chosen, embedding, len(vocabulary)),
            "pieces": name_pieces(backbone, self.input, ops.take_along_axis(ids, places, axis=1)),
            "counts": ops.logical_and(counts, ops.expand_dims(present, 1)),
        }

    def measure(self, outputs):
        return measure_tokens(outputs)

    def get_config(self):
        return {"input": self.input, "rate": self.rate, **super().get_config()}
