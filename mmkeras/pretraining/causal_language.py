import keras
import numpy as np
from keras import ops

from mmkeras.layers import AttentionBlock, PositionEmbedding
from mmkeras.pretraining.base import Objective
from mmkeras.pretraining.tokens import find_embedding, measure_tokens, name_pieces, require_pieces, score_pieces


@keras.saving.register_keras_serializable(package="mmkeras")
class CausalLanguage(Objective):
    """Each piece of a text is told from those before it; of a caption also from what it is about.

    Without `given` the encoder of the text learns, which has to read from left to right, as `TextGRU` and GPT-2 do.
    With it a decoder, which is thrown away afterwards, reads the pieces before, and looks at the tokens of the other
    input, whose encoder learns. References: Radford et al., "Improving Language Understanding by Generative
    Pre-Training" (2018); of captions Desai and Johnson, "VirTex" (2021).

    Args:
        input: name of the input, a text.
        given: name of the input that the text is about; None for none.
        num_layers, num_heads: of the decoder.
        weight, name: see `Objective`.

    Metrics: accuracy of the next piece. The perplexity is `exp(loss)`.

    Raises:
        ValueError: in a `Pretrainer`, for an encoder that looks ahead.

    Example:

    >>> rows = mk.read([{"text": text} for text in ("red tea is hot", "blue ice is cold") * 8])
    >>> pretrainer = mk.pretraining.Pretrainer.from_source(
    ...     rows, {"text": mk.Text()}, [mk.pretraining.CausalLanguage("text")]
    ... )
    >>> history = pretrainer.fit(pretrainer.dataset(rows, 8), verbose=0).history
    >>> 0 <= history["causal_language_text_accuracy"][0] <= 1
    True
    """

    kind = "causal_language"
    metric_names = ("accuracy",)

    def __init__(
        self,
        input: str,
        given: str | None = None,
        num_layers: int = 2,
        num_heads: int = 4,
        weight: float = 1.0,
        name: str | None = None,
    ):
        super().__init__((input,) if given is None else (input, given), weight, name)
        self.input, self.given = input, given
        self.num_layers, self.num_heads = num_layers, num_heads

    def used_features(self, backbone):
        return {self.given or self.input: {"tokens", "mask", "present"}}

    def connect(self, backbone, connected):
        preprocessor = require_pieces(self, backbone, self.input)
        ids, present = (
            backbone.input[backbone.preprocessor.tensor_names(self.input)[part]] for part in ("content", "present")
        )
        pieces = len(preprocessor.vocabulary)
        if self.given is None:
            encoder = backbone.encoders[self.input]
            _require_causal(encoder, preprocessor, self.input)
            tokens, embedding = backbone.encoded[self.input]["tokens"][:, :-1], find_embedding(encoder, pieces)
            following = name_pieces(backbone, self.input, ids)[:, 1:]
            counts = ops.not_equal(ids[:, 1:], 0)
        else:
            seen = backbone.encoded[self.given]
            tokens, embedding = self._decode(ids, seen, pieces), None
            following, counts = ids, ops.not_equal(ids, 0)
            present = ops.logical_and(present, seen["present"])
        return {
            "logits": score_pieces(self, tokens, embedding, pieces),
            "pieces": following,
            "counts": ops.logical_and(counts, ops.expand_dims(present, 1)),
        }

    def _decode(self, ids, seen, pieces):
        """Tokens that know the pieces before each, `(batch, length, units)`."""
        units = seen["tokens"].shape[-1]
        earlier = ops.pad(ids[:, :-1], [[0, 0], [1, 0]])  # padding, which is 0, is also where a text begins
        tokens = keras.layers.Embedding(pieces, units, name=self.layer_name("embedding"))(earlier)
        tokens = PositionEmbedding(name=self.layer_name("position"))(tokens)
        mask = ops.ones_like(ids, dtype="bool")
        for index in range(self.num_layers):
            before = AttentionBlock(units, self.num_heads, is_causal=True, name=self.layer_name(f"before_{index}"))
            about = AttentionBlock(units, self.num_heads, name=self.layer_name(f"about_{index}"))
            tokens = about(before(tokens, tokens, mask), seen["tokens"], seen["mask"])
        return tokens

    def measure(self, outputs):
        return measure_tokens(outputs)

    def get_config(self):
        own = ("input", "given", "num_layers", "num_heads")
        return {**{name: getattr(self, name) for name in own}, **super().get_config()}


def _require_causal(encoder, preprocessor, name):
    """Sees to it that no token depends on pieces behind it."""
    length = preprocessor.sequence_length
    if length < 2:
        raise ValueError(f"CausalLanguage predicts pieces from those before, and '{name}' has one. Received: {length}")
    last = min(2, len(preprocessor.vocabulary) - 1)
    ids = np.ones((2, length), "int32")
    ids[1, -1] = last
    first, second = np.asarray(encoder({"content": ids, "present": np.ones(2, bool)})["tokens"])[:, :-1]
    if np.abs(first - second).max() > 1e-5:
        raise ValueError(
            f"CausalLanguage predicts each piece from those before it, and the encoder of '{name}' looks ahead. Use "
            "one that reads from left to right, such as mk.encoders.TextGRU() or GPT-2, or "
            "mk.pretraining.MaskedLanguage."
        )
