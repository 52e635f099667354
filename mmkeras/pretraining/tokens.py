"""Logits of the pieces of a vocabulary, and how well pieces are told."""

import keras
import tensorflow as tf
from keras import ops

from mmkeras.pretraining.base import Measured
from mmkeras.weights import walk_layers


class TiedLogits(keras.layers.Layer):
    """Scores of all pieces by the vectors that an encoder reads them by: `E x + b`.

    Reference: Press and Wolf, "Using the Output Embedding to Improve Language Models" (2017).

    Args:
        embedding: a layer `Embedding`, whose weights belong to the encoder.

    Call arguments:
        tokens: `(batch, count, embedding dim)`.

    Output shape: `(batch, count, pieces)`, float32.
    """

    def __init__(self, embedding, **kwargs):
        super().__init__(**{"dtype": "float32", **kwargs})
        self._get_embedding = lambda: embedding  # as an attribute it would be a layer of this one

    def build(self, tokens_shape):
        self.bias = self.add_weight(shape=(self._get_embedding().input_dim,), initializer="zeros", name="bias")

    def call(self, tokens):
        matrix = ops.cast(self._get_embedding().embeddings, "float32")
        return ops.matmul(tokens, ops.transpose(matrix)) + self.bias

    def compute_output_shape(self, tokens_shape):
        return (*tokens_shape[:-1], self._get_embedding().input_dim)


def find_embedding(encoder: keras.Model, pieces: int):
    """The layer by which an encoder reads this many pieces; None without one."""
    for _, layer in walk_layers(encoder):
        if isinstance(layer, keras.layers.Embedding) and layer.input_dim >= pieces:
            return layer
    return None


def score_pieces(objective, tokens, embedding, pieces: int):
    """From tokens `(batch, count, units)` to logits of the pieces, as BERT does it: a dense layer, normalization, and
    the vectors of the pieces; new ones where there is no `embedding`.
    """
    size = tokens.shape[-1] if embedding is None else embedding.output_dim
    hidden = keras.layers.Dense(size, "gelu", name=objective.layer_name("hidden"))(tokens)
    hidden = keras.layers.LayerNormalization(name=objective.layer_name("norm"))(hidden)
    if embedding is None:
        return keras.layers.Dense(pieces, name=objective.layer_name("logits"), dtype="float32")(hidden)
    return TiedLogits(embedding, name=objective.layer_name("logits"))(hidden)


def require_pieces(objective, backbone, name: str):
    """Sees to it that an input is text, each of whose tokens is a piece.

    Returns: its preprocessor.

    Raises:
        ValueError: for another.
    """
    preprocessor = backbone.modalities[name].preprocessor
    length = getattr(preprocessor, "sequence_length", None)
    if not hasattr(preprocessor, "tokenizer") or backbone.encoded[name]["tokens"].shape[1] != length:
        raise ValueError(
            f"{type(objective).__name__} is about text, and an encoder with a token for each piece. "
            f"Received: '{name}', {type(backbone.modalities[name].encoder).__name__}"
        )
    return preprocessor


def name_pieces(backbone, name: str, ids):
    """The ids by which the encoder knows the pieces, for those of the tokenizer."""
    encoder = backbone.modalities[name].encoder
    return encoder.find_hub_ids(ids) if hasattr(encoder, "find_hub_ids") else ids


def measure_tokens(outputs) -> Measured:
    """The cross-entropy of pieces, and how many are told rightly.

    Args:
        outputs: dict of `logits`, `(batch, count, pieces)`; `pieces`, int `(batch, count)`; and `counts`, bool
            `(batch, count)`.
    """
    logits = ops.cast(outputs["logits"], "float32")
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(outputs["pieces"], logits)
    weights = ops.cast(outputs["counts"], "float32")
    right = ops.cast(ops.equal(ops.argmax(logits, axis=-1), ops.cast(outputs["pieces"], "int64")), "float32")
    count = ops.sum(weights)
    return Measured(ops.sum(weights * losses), count, {"accuracy": (ops.sum(weights * right), count)})
