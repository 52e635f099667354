"""What is done to modalities and tokens that are absent."""

import keras
from keras import ops


def _expand_like(flags, reference):
    """Reshapes `(batch,)` so that it broadcasts against `reference`."""
    return ops.reshape(flags, (-1,) + (1,) * (len(reference.shape) - 1))


@keras.saving.register_keras_serializable(package="mmkeras")
class ZeroAbsent(keras.layers.Layer):
    """Replaces the content of absent rows by zeros, so that nothing in it can reach the model.

    `where(present, inputs, 0)`: unlike a product, this also stops NaN and out-of-range ids. Own design.

    Call arguments:
        inputs: tensor `(batch, ...)` of any dtype.
        present: bool tensor `(batch,)`.

    Output shape: as `inputs`, and of their dtype, also under mixed precision: ids, samples and numbers stay exact until
    they are embedded. uint8 becomes the compute dtype, because TFLite cannot choose between uint8 tensors.

    Example:

    >>> ZeroAbsent()(np.array([[1.0], [np.nan]]), np.array([True, False])).numpy().tolist()
    [[1.0], [0.0]]
    """

    def __init__(self, **kwargs):
        super().__init__(**{"autocast": False, **kwargs})

    def call(self, inputs, present):
        inputs = ops.cast(inputs, self._choose_dtype(inputs))
        return ops.where(_expand_like(present, inputs), inputs, ops.zeros_like(inputs))

    def compute_output_spec(self, inputs, present):
        return keras.KerasTensor(inputs.shape, dtype=self._choose_dtype(inputs))

    def _choose_dtype(self, inputs):
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        return self.compute_dtype if dtype == "uint8" else dtype


@keras.saving.register_keras_serializable(package="mmkeras")
class MaskTokens(keras.layers.Layer):
    """Zeroes the tokens that the mask says are padding.

    Call arguments:
        tokens: float tensor `(batch, length, units)`.
        mask: bool tensor `(batch, length)`.

    Output shape: as `tokens`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, tokens, token_mask):
        return ops.where(ops.expand_dims(token_mask, -1), tokens, ops.zeros_like(tokens))

    def compute_mask(self, *args, **kwargs):
        return None  # from here on the mask travels in Features

    def compute_output_spec(self, tokens, token_mask):
        return keras.KerasTensor(tokens.shape, dtype=tokens.dtype)


@keras.saving.register_keras_serializable(package="mmkeras")
class MissingEmbedding(keras.layers.Layer):
    """Replaces the vector of absent rows by a learned one, in training and afterwards alike.

    Own design, after the learnable missing-modality embeddings of "Bag of Tricks for Multimodal AutoML" (2024).

    Args:
        initializer: what the vector starts as; the neutral element of the fusion that uses it.

    Call arguments:
        vectors: float tensor `(batch, units)`.
        present: bool tensor `(batch,)`.

    Output shape: `(batch, units)`.

    Example:

    >>> MissingEmbedding("ones")(np.array([[5.0, 5.0], [7.0, 7.0]]), np.array([True, False])).numpy().tolist()
    [[5.0, 5.0], [1.0, 1.0]]
    """

    def __init__(self, initializer="zeros", **kwargs):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)

    def build(self, vectors_shape, present_shape=None):
        self.embedding = self.add_weight(shape=(vectors_shape[-1],), initializer=self.initializer, name="embedding")

    def call(self, vectors, present):
        embedding = ops.cast(self.embedding, vectors.dtype)
        return ops.where(_expand_like(present, vectors), vectors, embedding)

    def compute_output_shape(self, vectors_shape, present_shape=None):
        return vectors_shape

    def get_config(self):
        return {**super().get_config(), "initializer": keras.initializers.serialize(self.initializer)}


@keras.saving.register_keras_serializable(package="mmkeras")
class ModalityDropout(keras.layers.Layer):
    """Marks modalities as absent at random in training, each row for itself, so that a model learns to do without.

    Every present modality is dropped with probability `rate`; a row that would lose all of them keeps all of them.
    Reference: Neverova et al., "ModDrop" (2015).

    Args:
        rate: float in [0, 1).
        seed: integer, or None for a random one.

    Call arguments:
        present: bool tensor `(batch, modalities)`.

    Output shape: `(batch, modalities)`, bool.

    Example:

    >>> ModalityDropout(0.5)(np.array([[True, False]]), training=True).numpy().tolist()
    [[True, False]]
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` of ModalityDropout is a probability in [0, 1). Received: rate={rate}")
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, present, training=False):
        if not training or self.rate == 0:
            return present
        keep = keras.random.uniform(ops.shape(present), seed=self.seed_generator) >= self.rate
        kept = ops.logical_and(present, keep)
        return ops.where(ops.any(kept, axis=-1, keepdims=True), kept, present)

    def compute_output_spec(self, present, training=False):
        return keras.KerasTensor(present.shape, dtype="bool")

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
