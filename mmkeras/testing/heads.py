from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from mmkeras.fusion.base import WHOLE, select_source
from mmkeras.heads import Head
from mmkeras.testing.fusions import make_features
from mmkeras.testing.requirements import require, require_close


def check_head(head: Head, outputs: Mapping | None = None):
    """Checks what holds for every head, on what a backbone gives, or on random Features of two inputs.

    Logits are float32, for the row or for each token as `per_token` says; a copy from the configuration gives the same;
    the other rows of a batch and more padding do not matter; Features besides `feature_keys` are not read; a gradient
    reaches every weight.

    Args:
        head: the layer.
        outputs: dict of `fused`, `Features`, and `modalities`, for each input its `Features`.
    """
    if outputs is None:
        features = make_features({"first": 3, "second": 5})
        outputs = {"modalities": features, "fused": make_features({"all": 4}, seed=1)["all"]}
    read = _select(head, outputs)
    logits = head(read)
    require(logits.dtype == tf.float32, f"logits are {logits.dtype.name}")
    require(logits.shape.rank == (3 if head.per_token else 2), f"logits have the shape {logits.shape}")
    spec = head.compute_output_spec(keras.tree.map_structure(_describe, read))
    require(tuple(spec.shape[1:]) == tuple(logits.shape[1:]) or None in spec.shape[1:], f"it declares {spec.shape}")

    copy = type(head).from_config(head.get_config())
    copy(read)
    copy.set_weights(head.get_weights())
    require_close(logits, copy(read), "a copy from the configuration gives something else")
    one_row = keras.tree.map_structure(lambda tensor: tensor[1:2], read)
    require_close(logits[1:2], head(one_row), "the other rows of the batch matter")
    kept = _map_features(lambda features: {key: features[key] for key in head.feature_keys if key in features}, read)
    require_close(logits, head(kept), "it reads Features that it does not declare")
    if "tokens" in head.feature_keys:
        padded = head(_map_features(_pad, kept))
        padded = padded[:, : logits.shape[1]] if head.per_token else padded
        real = kept["mask"][..., None] if head.per_token else True
        require_close(tf.where(real, logits, 0), tf.where(real, padded, 0), "padding matters")

    with tf.GradientTape() as tape:
        weighted = head(read) * np.random.default_rng(0).normal(size=logits.shape).astype("float32")
    weights = head.trainable_weights
    for weight, gradient in zip(weights, tape.gradient(weighted, [w.value for w in weights]), strict=True):
        require(gradient is not None and np.any(gradient != 0), f"no gradient reaches {weight.path}")


def _select(head, outputs):
    source = head.source if head.source in WHOLE else next(iter(outputs["modalities"]))
    return select_source(outputs, source)


def _describe(tensor):
    return keras.KerasTensor((None, *tensor.shape[1:]), dtype=tensor.dtype.name)


def _map_features(change, read):
    """Changes the Features in what a head reads, which are one, or those of all inputs."""
    if "modalities" not in read:
        return change(read)
    modalities = {name: change(features) for name, features in read["modalities"].items()}
    return {"modalities": modalities, "fused": change(read["fused"])}


def _pad(features):
    padding = {"tokens": ([[0, 0], [0, 2], [0, 0]], 0.0), "mask": ([[0, 0], [0, 2]], False)}
    return {
        key: tf.pad(tensor, padding[key][0], constant_values=padding[key][1]) if key in padding else tensor
        for key, tensor in features.items()
    }
