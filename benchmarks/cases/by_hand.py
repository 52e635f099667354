"""Steps of pre-training written by hand, beside which those of `mk.pretraining` are timed.

Each trains the same layers as its objective, by the loss of its paper alone: it does not measure more, as ours does,
and takes it that no row lacks anything or has a duplicate.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import mmkeras as mk
from mmkeras.pretraining.masked_patches import PatchDecoder, cut_patches

UNITS, TEMPERATURE = 128, 0.07


class ByHand(keras.Model):
    """Trains by the gradient of `measure(batch)`, a scalar, with regard to the weights that it depends on.

    Args:
        encoders: the models whose weights it trains.
        layers: those that are built by the first call of `measure`.
        measure: a function of a batch, a dict of tensors.
    """

    def __init__(self, encoders, layers, measure):
        super().__init__()
        self.parts = [*encoders, *layers]
        self.measure, self.mean = measure, keras.metrics.Mean("loss")

    def prepare(self, batch):
        """Builds the layers, and finds the weights."""
        with tf.GradientTape() as tape:
            loss = self.measure(batch)
        weights = [weight for part in self.parts for weight in part.trainable_weights]
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        self.learned = [weight for weight, found in zip(weights, gradients, strict=True) if found is not None]
        self.compile(keras.optimizers.Adam(0.001))
        self.built = True

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = self.measure(data)
        gradients = tape.gradient(loss, [weight.value for weight in self.learned])
        self.optimizer.apply(gradients, self.learned)
        self.mean.update_state(loss)
        return {"loss": self.mean.result()}


class Scale(keras.layers.Layer):
    """What cosines are multiplied by."""

    def build(self, shape):
        start = keras.initializers.Constant(float(np.log(1 / TEMPERATURE)))
        self.log_scale = self.add_weight(shape=(), initializer=start)

    def call(self, scores):
        return scores * ops.exp(self.log_scale)


def contrast(backbone: mk.Backbone) -> ByHand:
    """CLIP."""
    pair = Pair(backbone.encoders)

    def measure(batch):
        features = _encode(backbone, batch)
        return pair.measure(*(features[name]["pooled"] for name in features))

    return ByHand(backbone.encoders.values(), pair.layers, measure)


def see_twice(backbone: mk.Backbone) -> ByHand:
    """SimCLR of images."""
    layers = [
        keras.layers.RandomTranslation(0.15, 0.15, fill_mode="nearest"),
        keras.layers.RandomZoom((-0.3, 0.1), fill_mode="nearest"),
        keras.layers.RandomRotation(0.05, fill_mode="nearest"),
        keras.layers.RandomContrast(0.5),
    ]
    hidden, vector, scale = keras.layers.Dense(UNITS, "gelu"), keras.layers.Dense(UNITS, use_bias=False), Scale()

    def measure(batch):
        views = []
        for _ in range(2):
            view = ops.cast(batch["image"], "float32")
            for layer in layers:
                view = layer(view, training=True)
            view = ops.cast(ops.clip(view, 0, 255), "uint8")
            views.append(vector(hidden(_encode(backbone, {**batch, "image": view})["image"]["pooled"])))
        return _contrast(scale, *views)[0]

    return ByHand(backbone.encoders.values(), [hidden, vector, scale], measure)


def match(backbone: mk.Backbone) -> ByHand:
    """CLIP, and ALBEF's matching of pairs beside it."""
    pair, head = Pair(backbone.encoders), keras.layers.Dense(1)

    def measure(batch):
        features = _encode(backbone, batch)
        one, other = features
        loss, scores = pair.contrast(features[one]["pooled"], features[other]["pooled"])
        scores = tf.linalg.set_diag(tf.stop_gradient(scores), tf.fill(tf.shape(scores)[:1], -1e9))
        logits = [head(backbone.fusion.join(features)["fused"]["pooled"])]
        for name, likely in ((other, scores), (one, tf.transpose(scores))):
            drawn = tf.random.categorical(likely, 1)[:, 0]
            false = {key: tf.gather(tensor, drawn) for key, tensor in features[name].items()}
            logits.append(head(backbone.fusion.join({**features, name: false})["fused"]["pooled"]))
        logits = tf.concat(logits, axis=1)
        truth = tf.ones_like(logits) * [[1.0, 0.0, 0.0]]
        return loss + tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(truth, logits))

    return ByHand([*backbone.encoders.values(), backbone.fusion], [*pair.layers, head], measure)


def mask_modality(backbone: mk.Backbone) -> ByHand:
    """The first modality told from what is fused without it."""
    name = next(iter(backbone.encoders))
    pair = Pair((name, "told"))

    def measure(batch):
        features = _encode(backbone, batch)
        absent = {**features[name], "present": tf.zeros_like(features[name]["present"])}
        fused = backbone.fusion.join({**features, name: absent})["fused"]
        return pair.measure(features[name]["pooled"], fused["pooled"])

    return ByHand([*backbone.encoders.values(), backbone.fusion], pair.layers, measure)


def mask_words(backbone: mk.Backbone) -> ByHand:
    """BERT's masked language."""
    encoder, vocabulary = backbone.encoders["text"], backbone.modalities["text"].preprocessor.vocabulary
    logits = Logits(encoder)
    mask_id = vocabulary.index("[MASK]")

    def measure(batch):
        ids = batch["text"]
        drawn = tf.random.uniform(tf.shape(ids)) * tf.cast(ids > 4, tf.float32)
        places = tf.math.top_k(drawn, round(0.15 * ids.shape[1])).indices
        chosen = tf.reduce_sum(tf.one_hot(places, ids.shape[1]), axis=1) > 0
        fate, others = tf.random.uniform(tf.shape(ids)), tf.random.uniform(tf.shape(ids), 1, len(vocabulary), tf.int32)
        left = tf.where(fate < 0.8, mask_id, tf.where(fate < 0.9, others, ids))
        tokens = _encode(backbone, {**batch, "text": tf.where(chosen, left, ids)})["text"]["tokens"]
        told = logits(tf.gather(tokens, places, batch_dims=1))
        truth = tf.gather(ids, places, batch_dims=1)
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(truth, told))

    return ByHand([encoder], [logits], measure)


def follow_words(backbone: mk.Backbone) -> ByHand:
    """GPT's causal language."""
    ((name, encoder),) = backbone.encoders.items()
    logits = Logits(encoder)

    def measure(batch):
        ids = batch[name]
        told = logits(_encode(backbone, batch)[name]["tokens"][:, :-1])
        weights = tf.cast(ids[:, 1:] != 0, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(ids[:, 1:], told)
        return tf.reduce_sum(weights * losses) / tf.reduce_sum(weights)

    return ByHand([encoder], [logits], measure)


def mask_patches(backbone: mk.Backbone) -> ByHand:
    """MAE's masked patches, with all tokens in the encoder."""
    height, width = (side // 4 for side in backbone.input["image"].shape[1:3])
    decoder = PatchDecoder(height * width, 48)

    def measure(batch):
        patches = cut_patches(tf.cast(batch["image"], tf.float32), (4, 4))
        mean, variance = tf.nn.moments(patches, -1, keepdims=True)
        order = tf.argsort(tf.random.uniform(tf.shape(patches)[:2]))
        hidden = order < round(0.6 * height * width)
        cells = tf.repeat(tf.repeat(tf.reshape(hidden, (-1, height, width, 1)), 4, 1), 4, 2)
        left = tf.where(cells, tf.constant(127, tf.uint8), batch["image"])
        features = _encode(backbone, {**batch, "image": left})["image"]
        told = decoder(features["tokens"], features["mask"], training=True)
        errors = tf.reduce_mean((told - (patches - mean) / tf.sqrt(variance + 1e-4)) ** 2, axis=-1)
        weights = tf.cast(hidden, tf.float32)
        return tf.reduce_sum(weights * errors) / tf.reduce_sum(weights)

    return ByHand(backbone.encoders.values(), [decoder], measure)


def _encode(backbone, batch):
    """The Features of each encoder."""
    found = {}
    for name, encoder in backbone.encoders.items():
        parts = backbone.preprocessor.tensor_names(name)
        found[name] = encoder({part: batch[key] for part, key in parts.items()}, training=True)
    return found


class Pair:
    """Projections of two vectors, and their contrast."""

    def __init__(self, names):
        self.heads = [keras.layers.Dense(UNITS, use_bias=False) for _ in names]
        self.scale = Scale()
        self.layers = [*self.heads, self.scale]

    def contrast(self, one, other):
        return _contrast(self.scale, *(head(each) for head, each in zip(self.heads, (one, other), strict=True)))

    def measure(self, one, other):
        return self.contrast(one, other)[0]


def _contrast(scale, one, other):
    """InfoNCE in both directions, and the scores."""
    scores = scale(tf.matmul(ops.normalize(one, axis=-1), ops.normalize(other, axis=-1), transpose_b=True))
    truth = tf.range(tf.shape(scores)[0])
    both = (scores, tf.transpose(scores))
    return tf.reduce_mean([tf.nn.sparse_softmax_cross_entropy_with_logits(truth, each) for each in both]), scores


class Logits(keras.layers.Layer):
    """Scores of the words by the vectors that an encoder reads them by, behind a dense layer and a normalization."""

    def __init__(self, encoder):
        super().__init__()
        embedding = next(layer for layer in encoder.layers if isinstance(layer, keras.layers.Embedding))
        self.get_vectors = lambda: embedding.embeddings
        self.hidden, self.norm = keras.layers.Dense(embedding.output_dim, "gelu"), keras.layers.LayerNormalization()
        self.bias = self.add_weight(shape=(embedding.input_dim,), initializer="zeros")

    def call(self, tokens):
        return ops.matmul(self.norm(self.hidden(tokens)), ops.transpose(self.get_vectors())) + self.bias
