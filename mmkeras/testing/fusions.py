from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from keras import tree

from mmkeras.features import FEATURES, Features
from mmkeras.fusion import DecisionFusion, Fusion
from mmkeras.testing.requirements import require, require_close


def make_features(
    lengths: Mapping[str, int], batch_size: int = 6, units: int = 8, seed: int = 0
) -> dict[str, Features]:
    """Random Features for each modality name, with the given number of tokens; some padded, some rows absent.

    Example:

    >>> make_features({"a": 3})["a"]["tokens"].shape.as_list()
    [6, 3, 8]
    """
    random = np.random.default_rng(seed)
    features = {}
    for name, length in sorted(lengths.items()):
        present = random.random(batch_size) > 0.3
        present[0] = True
        mask = np.arange(length) < random.integers(1, length + 1, (batch_size, 1))
        mask &= present[:, None]
        tokens = random.normal(size=(batch_size, length, units)).astype("float32") * mask[..., None]
        pooled = random.normal(size=(batch_size, units)).astype("float32")
        features[name] = Features(
            tokens=tf.constant(tokens), mask=tf.constant(mask), pooled=tf.constant(pooled), present=tf.constant(present)
        )
    return features


def check_fusion(fusion: Fusion, features: Mapping[str, Features] | None = None):
    """Checks what holds for every fusion, on the given Features or on random ones of two modalities.

    Shapes; a copy from the configuration gives the same; the order of the modalities does not matter; nor does the
    batch; nothing in an absent modality can change the output, NaN included; no more padding does; a gradient reaches
    every modality and every weight; modality dropout drops in training and only there.
    """
    features = dict(features or make_features({"first": 3, "second": 5}))
    output = _fuse(fusion, features)
    if not isinstance(fusion, DecisionFusion):
        _check_shapes(fusion, features)

    copy = type(fusion).from_config(fusion.get_config())
    _fuse(copy, features)
    copy.set_weights(fusion.get_weights())
    require_close(output, _fuse(copy, features), "a copy from the configuration gives something else")

    backwards = _fuse(fusion, dict(reversed(features.items())))
    require_close(output, backwards, "the order of the modalities matters")
    one_row = tree.map_structure(lambda tensor: tensor[1:2], features)
    one_output = tree.map_structure(lambda tensor: tensor[1:2], output)
    require_close(one_output, _fuse(fusion, one_row), "the other rows of the batch matter")
    _check_absence(fusion, features, output)
    _check_padding(fusion, features, output)
    _check_gradients(fusion, features)
    _check_modality_dropout(fusion, features)


def _fuse(fusion, features, **kwargs):
    """What comes out: fused Features, or, of the decision level, joined logits in place of the pooled vector."""
    if not isinstance(fusion, DecisionFusion):
        return fusion(features, **kwargs)["fused"]
    logits = {name: f["pooled"] for name, f in features.items()}
    return {"pooled": fusion(logits, {name: f["present"] for name, f in features.items()}, **kwargs)}


def _check_shapes(fusion, features):
    output = fusion(features)
    fused, modalities = output["fused"], output["modalities"]
    shape = (len(fused["present"]), fusion.units)
    require(fused["pooled"].shape == shape, f"pooled has shape {fused['pooled'].shape}")
    any_present = np.any([f["present"] for f in features.values()], axis=0)
    require(np.array_equal(fused["present"], any_present), "present is not where any modality is")
    require(set(modalities) == set(features), f"it gives the modalities {sorted(modalities)}")
    for name, after in {**modalities, "fused": fused}.items():
        require(set(after) == set(FEATURES), f"'{name}' has {sorted(after)}")
        require(after["tokens"].shape[:2] == after["mask"].shape, f"tokens and mask of '{name}' differ in length")
    for name, after in modalities.items():
        require(np.array_equal(after["present"], features[name]["present"]), f"presence of '{name}' changed")
        require(after["mask"].shape == features[name]["mask"].shape, f"'{name}' has other tokens than before")


def _check_absence(fusion, features, output):
    spoiled = {}
    for name, f in features.items():
        absent = ~f["present"].numpy()
        tokens, pooled = f["tokens"].numpy(), f["pooled"].numpy()
        tokens[absent], pooled[absent] = 1e6, np.nan
        mask = f["mask"].numpy() | absent[:, None]
        spoiled[name] = Features(tokens=tokens, mask=mask, pooled=pooled, present=f["present"])
    received = _fuse(fusion, spoiled)
    for key in output:
        require_close(output[key], received[key], f"the content of an absent modality matters to {key}", tolerance=0)
    if not isinstance(fusion, DecisionFusion):
        before, after = fusion(features)["modalities"], fusion(spoiled)["modalities"]
        present = {name: {k: v[f["present"]] for k, v in before[name].items()} for name, f in features.items()}
        again = {name: {k: v[f["present"]] for k, v in after[name].items()} for name, f in features.items()}
        require_close(present, again, "the content of an absent modality matters to the others", tolerance=0)


def _check_padding(fusion, features, output):
    if "tokens" not in fusion.feature_keys:
        return
    padded = {
        name: f
        | {
            "tokens": tf.pad(f["tokens"], [[0, 0], [0, 2], [0, 0]], constant_values=7.0),
            "mask": tf.pad(f["mask"], [[0, 0], [0, 2]]),
        }
        for name, f in features.items()
    }
    require_close(output["pooled"], _fuse(fusion, padded)["pooled"], "padding matters")


def _check_gradients(fusion, features):
    whole = {
        name: f | {"present": tf.ones_like(f["present"]), "mask": tf.ones_like(f["mask"])}
        for name, f in features.items()
    }
    content = {
        name: {key: f[key] for key in fusion.feature_keys if key in ("tokens", "pooled")} for name, f in whole.items()
    }
    with tf.GradientTape() as tape:
        tape.watch(content)
        fused = _fuse(fusion, {name: f | content[name] for name, f in whole.items()})
        loss = tf.reduce_sum(fused["pooled"] ** 2)
    for name, gradients in tape.gradient(loss, content).items():
        for key, gradient in gradients.items():
            reached = gradient is not None and np.any(gradient != 0)
            require(reached, f"no gradient reaches {key} of '{name}'")
    # Rows with all, all but one, and none of the modalities, so that what stands for absent ones is used.
    rows = np.arange(len(next(iter(features.values()))["present"]))
    some = {
        name: f | {"present": tf.constant((rows != index % rows[-1]) & (rows != rows[-1]))}
        for index, (name, f) in enumerate(whole.items())
    }
    # As after some steps: a ReLU has no slope at the zeros that a row without anything starts with.
    random = np.random.default_rng(0)
    moved = type(fusion).from_config(fusion.get_config())
    _fuse(moved, features)
    moved.set_weights([w + random.normal(0, 0.1, w.shape) for w in fusion.get_weights()])
    weights = moved.trainable_weights
    with tf.GradientTape() as tape:
        pooled = tf.concat([_fuse(moved, features)["pooled"] for features in (whole, some)], axis=0)
        loss = tf.reduce_sum(pooled * random.normal(size=pooled.shape).astype("float32"))
    for weight, gradient in zip(weights, tape.gradient(loss, [w.value for w in weights]), strict=True):
        require(gradient is not None and np.any(gradient != 0), f"no gradient reaches {weight.path}")


def _check_modality_dropout(fusion, features):
    dropping = type(fusion).from_config({**fusion.get_config(), "modality_dropout": 0.5, "seed": 1, "name": "dropping"})
    whole = {name: f | {"present": tf.ones_like(f["present"])} for name, f in features.items()}
    outside = _fuse(dropping, whole)["pooled"]
    require_close(outside, _fuse(dropping, whole)["pooled"], "modality dropout drops outside of training")
    changed = [np.abs(_fuse(dropping, whole, training=True)["pooled"] - outside).max() > 0 for _ in range(10)]
    require(any(changed) or len(features) == 1, "modality dropout drops nothing in training")
