import copy

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from mmkeras.encoders.base import Encoder
from mmkeras.encoders.needs import Needs
from mmkeras.preprocessing.tokenizers import NGrams

_TEXTS = 1000  # that are counted at once
_SMOOTHING = 1.0  # added to the counts, so that no ratio is infinite


@keras.saving.register_keras_serializable(package="mmkeras")
class TextNGrams(Encoder):
    """How much each word, pair of words and run of characters speaks for each class: a strong baseline, and fast.

    For class c and an n-gram v in the text, `r_vc = log(p(v | c) / p(v | not c))`, counted in the training texts, times
    a learned weight that starts at 0. Their sum over the text, divided by the root of how many there are, is made to
    the pooled vector by a dense layer. Order beyond the n-grams is not seen; the one token is the pooled vector. Where
    there are no classes to count, as in a regression, the r are learned. Reference: Wang and Manning, "Baselines and
    Bigrams: Simple, Good Sentiment and Topic Classification" (2012).

    Args:
        units: size of the token and of the pooled vector.
        num_classes: how many classes there are; None for what the training rows say.

    Example:

    >>> text = mk.Text(mk.tokenizers.NGrams(["[PAD]", "[UNK]", "red"]), 4, encoder=mk.encoders.TextNGrams(units=8))
    >>> text.build_encoder("question").output["pooled"].shape
    (None, 8)
    """

    ratios = None  # learned from the training rows; not in the configuration, because a saved model has its weights

    def __init__(self, units: int = 64, num_classes: int | None = None):
        super().__init__(units)
        self.num_classes = num_classes

    def preprocessing(self):
        return Needs(soft={"tokenizer": NGrams()})

    def learn(self, preprocessor, cells, classes, num_classes):
        counts = np.full((num_classes, len(preprocessor.vocabulary)), _SMOOTHING)
        prepare = preprocessor.compile(preprocessor.prepare_batch)
        for start in range(0, len(cells), _TEXTS):
            ids = prepare(tf.constant(cells[start : start + _TEXTS])).numpy()
            np.add.at(counts, (classes[start : start + _TEXTS, None], ids), 1)
        counts[:, :2] = _SMOOTHING  # padding, and what is not known
        others = counts.sum(axis=0) - counts
        ratios = np.log(counts / counts.sum(axis=1, keepdims=True)) - np.log(others / others.sum(axis=1, keepdims=True))
        learned = copy.copy(self)
        learned.num_classes = num_classes
        learned.ratios = ratios.T
        return learned

    def build_model(self, preprocessor, name="encoder", augmentation=()):
        model = super().build_model(preprocessor, name, augmentation)
        if self.ratios is not None:
            model.get_layer("evidence").ratios.assign(self.ratios)
        return model

    def encode(self, inputs, preprocessor):
        evidence = _WeighedNGrams(
            len(preprocessor.vocabulary), self.num_classes or self.units, self.num_classes is None, name="evidence"
        )(inputs)
        # Against a bias that is not 0, so that normalization keeps how strong the evidence is.
        pooled = keras.layers.Dense(self.units, bias_initializer="random_normal", name="pooled_dense")(evidence)
        is_there = ops.any(ops.not_equal(inputs, 0), axis=1, keepdims=True)
        return ops.expand_dims(pooled, 1), is_there, pooled

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


@keras.saving.register_keras_serializable(package="mmkeras")
class _WeighedNGrams(keras.layers.Layer):
    """`sum_t w[v_t] * r[v_t] / sqrt(n)` over the n ids `v_t` of a text; the scales w start at 0.

    Args:
        vocabulary_size: how many ids there are; 0 is padding.
        units: values an id has.
        learns_ratios: whether r is learned too.

    Call arguments:
        ids: int32 `(batch, length)`.

    Output shape: `(batch, units)`.
    """

    def __init__(self, vocabulary_size, units, learns_ratios, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.units = units
        self.learns_ratios = learns_ratios

    def build(self, ids_shape):
        shape = (self.vocabulary_size, self.units)
        self.ratios = self.add_weight(
            shape=shape, initializer="random_normal", trainable=self.learns_ratios, name="ratios"
        )
        self.scales = self.add_weight(shape=shape, initializer="zeros", name="scales")

    def call(self, ids):
        values = ops.take(self.ratios * self.scales, ids, axis=0)
        real = ops.cast(ops.expand_dims(ids != 0, -1), values.dtype)
        return ops.sum(values * real, axis=1) / ops.sqrt(ops.maximum(ops.sum(real, axis=1), 1))

    def compute_output_shape(self, ids_shape):
        return (ids_shape[0], self.units)

    def get_config(self):
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "units": self.units,
            "learns_ratios": self.learns_ratios,
        }
