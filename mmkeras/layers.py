"""Layers that encoders and fusions share: presence, position, features of a table, spectrograms."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops


def _expand_like(flags, reference):
    """Reshapes `(batch,)` so that it broadcasts against `reference`."""
    return ops.reshape(flags, (-1,) + (1,) * (len(reference.shape) - 1))


@keras.saving.register_keras_serializable(package="mmkeras")
class ZeroAbsent(keras.layers.Layer):
    """Reindices the content of absent rows by zeros, so that nothing in it can reach the model.

    `where(present, inputs, 0)`: unlike a product, this also stops NaN and out-of-range ids. Own design.

    Call arguments:
        inputs: tensor `(batch, ...)` of any dtype.
        present: bool tensor `(batch,)`.

    Output shape: as `inputs`. uint8 becomes the compute dtype, because TFLite cannot choose between uint8 tensors.

    Example:

    >>> ZeroAbsent()(np.array([[1.0], [np.nan]]), np.array([True, False])).numpy().tolist()
    [[1.0], [0.0]]
    """

    def call(self, inputs, present):
        inputs = ops.cast(inputs, self._choose_dtype(inputs))
        return ops.where(_expand_like(present, inputs), inputs, ops.zeros_like(inputs))

    def compute_output_spec(self, inputs, present):
        return keras.KerasTensor(inputs.shape, dtype=self._choose_dtype(inputs))

    def _choose_dtype(self, inputs):
        dtype = keras.backend.standardize_dtype(inputs.dtype)
        return self.compute_dtype if dtype == "uint8" else dtype


@keras.saving.register_keras_serializable(package="mmkeras")
class MissingEmbedding(keras.layers.Layer):
    """Reindices the vector of absent rows by a learned one, in training and afterwards alike.

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


@keras.saving.register_keras_serializable(package="mmkeras")
class PositionEmbedding(keras.layers.Layer):
    """Adds a learned vector to each index of a sequence, so that attention can tell positions apart.

    Reference: Gehring et al., "Convolutional Sequence to Sequence Learning" (2017).

    Call arguments:
        tokens: float tensor `(batch, length, units)`, with a fixed length.

    Output shape: as `tokens`.

    Example:

    >>> PositionEmbedding()(np.zeros((2, 3, 4))).shape.as_list()
    [2, 3, 4]
    """

    def build(self, tokens_shape):
        self.embedding = self.add_weight(shape=tokens_shape[1:], initializer="random_normal", name="embedding")

    def call(self, tokens):
        return tokens + ops.cast(self.embedding, tokens.dtype)


@keras.saving.register_keras_serializable(package="mmkeras")
class FeatureTokenizer(keras.layers.Layer):
    """Numbers and categories to one vector each: `value * weight + bias`, or the embedding of the category.

    A missing value adds a learned vector of its own. Reference: Gorishniy et al., "Revisiting Deep Learning Models for
    Tabular Data" (2021), section 3.3; the vectors of missing values are our own.

    Args:
        cardinalities: for each feature how many categories it has, the unknown one included; 0 for a number.
        units: size of the vectors.

    Call arguments:
        features: float tensor `(batch, features, 2)`: value or index of the category, and 1 where it is missing.

    Output shape: `(batch, features, units)`.

    Example:

    >>> FeatureTokenizer([0, 3], 4)(np.zeros((2, 2, 2))).shape.as_list()
    [2, 2, 4]
    """

    def __init__(self, cardinalities, units, **kwargs):
        super().__init__(**kwargs)
        self.cardinalities = list(cardinalities)
        self.units = units

    def build(self, features_shape):
        shape = (len(self.cardinalities), self.units)
        self.weight = self.add_weight(shape=shape, initializer="glorot_uniform", name="weight")
        self.bias = self.add_weight(shape=shape, initializer="random_normal", name="bias")
        self.missing = self.add_weight(shape=shape, initializer="random_normal", name="missing")
        if any(self.cardinalities):
            # The categories of all features, one after the other, in one table.
            self.offsets = np.cumsum([0, *self.cardinalities[:-1]]).astype("int32")
            self.embedding = self.add_weight(
                shape=(sum(self.cardinalities), self.units), initializer="random_normal", name="embedding"
            )

    def call(self, features):
        values, missing = features[..., 0:1], features[..., 1:2]
        is_category = np.array(self.cardinalities, bool)[:, None]
        tokens = values * ops.where(is_category, 0.0, ops.cast(self.weight, values.dtype))
        tokens = tokens + ops.cast(self.bias, values.dtype) + missing * ops.cast(self.missing, values.dtype)
        if any(self.cardinalities):
            indices = ops.cast(values[..., 0], "int32") + self.offsets
            indices = ops.where(is_category[:, 0], indices, 0)
            embedded = ops.cast(ops.take(self.embedding, indices, axis=0), values.dtype)
            tokens = tokens + ops.where(is_category, embedded, 0.0)
        return tokens

    def compute_output_shape(self, features_shape):
        return (*features_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "cardinalities": self.cardinalities, "units": self.units}


@keras.saving.register_keras_serializable(package="mmkeras")
class LogMelSpectrogram(keras.layers.Layer):
    """Samples to the logarithm of the energy in bands of the mel scale, `log(energy + 1e-6)`.

    Frames of 25 ms, one every 10 ms, under a Hann window; their Fourier transform is a convolution, so that the layer
    can be exported to TFLite and ONNX. Equals `tf.signal.stft`, squared, times `tf.signal.linear_to_mel_weight_matrix`.

    Args:
        sample_rate: of the samples, in hertz.
        mel_bins: number of bands.
        lowest: lower edge of the first band, in hertz.
        highest: upper edge of the last band, in hertz; None for half of `sample_rate`.

    Call arguments:
        samples: float tensor `(batch, samples)`, in [-1, 1].

    Output shape: `(batch, frames, mel_bins)`.

    Example:

    >>> LogMelSpectrogram(16000)(np.zeros((1, 16000))).shape.as_list()
    [1, 98, 64]
    """

    def __init__(self, sample_rate, mel_bins=64, lowest=60.0, highest=None, **kwargs):
        super().__init__(**kwargs)
        self.sample_rate = sample_rate
        self.mel_bins = mel_bins
        self.lowest = lowest
        self.highest = highest
        self.frame_length = round(0.025 * sample_rate)
        self.frame_step = round(0.01 * sample_rate)
        self.fft_length = 2 ** (self.frame_length - 1).bit_length()

    def build(self, samples_shape):
        if samples_shape[-1] is not None and samples_shape[-1] < self.frame_length:
            raise ValueError(
                f"LogMelSpectrogram needs at least {self.frame_length} samples (25 ms). "
                f"Received: samples_shape={tuple(samples_shape)}"
            )
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.frame_length) / self.frame_length)
        angles = (
            2 * np.pi * np.outer(np.arange(self.frame_length), np.arange(self.fft_length // 2 + 1)) / self.fft_length
        )
        waves = window[:, None] * np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
        self.waves = waves[:, None, :].astype("float32")
        highest = self.highest or self.sample_rate / 2
        with tf.init_scope():  # also where a graph is being traced
            self.bands = tf.signal.linear_to_mel_weight_matrix(
                self.mel_bins, self.fft_length // 2 + 1, self.sample_rate, self.lowest, highest
            ).numpy()

    def call(self, samples):
        samples = ops.expand_dims(ops.cast(samples, "float32"), -1)
        # Always 1, but no constant: the weights would be quantized with it, and the spectrum has to stay exact.
        one = 1.0 + ops.minimum(ops.abs(samples[0, 0, 0]), 0.0)
        spectrum = ops.conv(samples, one * self.waves, strides=self.frame_step, padding="valid")
        cosines, sines = ops.split(spectrum, 2, axis=-1)
        energy = ops.matmul(ops.square(cosines) + ops.square(sines), one * self.bands)
        return ops.cast(ops.log(energy + 1e-6), self.compute_dtype)

    def compute_frame_mask(self, samples):
        """Bool tensor `(batch, frames)`: False for frames after the last sample that is not 0; the first is True."""
        frames = self.compute_output_shape(samples.shape)[1]
        indices = ops.arange(samples.shape[-1], dtype="int32")
        last = ops.max(ops.where(ops.not_equal(samples, 0), indices, 0), axis=-1, keepdims=True)
        return ops.less_equal(ops.arange(frames, dtype="int32") * self.frame_step, last)

    def compute_output_shape(self, samples_shape):
        batch, samples = samples_shape
        return (batch, None if samples is None else 1 + (samples - self.frame_length) // self.frame_step, self.mel_bins)

    def get_config(self):
        return {
            **super().get_config(),
            "sample_rate": self.sample_rate,
            "mel_bins": self.mel_bins,
            "lowest": self.lowest,
            "highest": self.highest,
        }
