"""Checks for encoders, fusions, tasks and artifacts: mmkeras's own tests use them, and yours can.

Each raises `AssertionError` with the property that does not hold.
"""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import tree

from mmkeras.features import Features
from mmkeras.fusion import Fusion
from mmkeras.preprocessing import RowPreprocessor

_RELOAD = """
import sys
import numpy as np
import mmkeras, keras
model = keras.saving.load_model(sys.argv[1])
with np.load(sys.argv[2]) as archive:
    inputs = dict(archive)
np.save(sys.argv[3], model.predict(inputs, verbose=0))
"""


def _require(condition, message):
    if not condition:
        raise AssertionError(message)


def _require_close(expected, received, message, tolerance=1e-5):
    for a, b in zip(tree.flatten(expected), tree.flatten(received), strict=True):
        a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
        difference = np.abs(a - b).max() if a.shape == b.shape else np.inf
        _require(difference <= tolerance, f"{message}: differs by {difference}")


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
    output = fusion(features)
    batch_size = len(output["present"])
    _require(output["pooled"].shape == (batch_size, fusion.units), f"pooled has shape {output['pooled'].shape}")
    _require(output["tokens"].shape[:2] == output["mask"].shape, "tokens and mask differ in length")
    any_present = np.any([f["present"] for f in features.values()], axis=0)
    _require(np.array_equal(output["present"], any_present), "present is not where any modality is")

    copy = type(fusion).from_config(fusion.get_config())
    copy.build({name: tree.map_structure(lambda t: tuple(t.shape), dict(f)) for name, f in features.items()})
    copy.set_weights(fusion.get_weights())
    _require_close(output, copy(features), "a copy from the configuration gives something else")

    _require_close(output, fusion(dict(reversed(features.items()))), "the order of the modalities matters")
    one_row = tree.map_structure(lambda tensor: tensor[1:2], features)
    one_output = tree.map_structure(lambda tensor: tensor[1:2], output)
    _require_close(one_output, fusion(one_row), "the other rows of the batch matter")
    _check_absence(fusion, features, output)
    _check_padding(fusion, features, output)
    _check_gradients(fusion, features)
    _check_modality_dropout(fusion, features)


def _check_absence(fusion, features, output):
    spoiled = {}
    for name, f in features.items():
        absent = ~f["present"].numpy()
        tokens, pooled = f["tokens"].numpy(), f["pooled"].numpy()
        tokens[absent], pooled[absent] = 1e6, np.nan
        mask = f["mask"].numpy() | absent[:, None]
        spoiled[name] = Features(tokens=tokens, mask=mask, pooled=pooled, present=f["present"])
    received = fusion(spoiled)
    _require_close(output["pooled"], received["pooled"], "the content of an absent modality matters", tolerance=0)
    _require_close(output["mask"], received["mask"], "the mask of an absent modality matters", tolerance=0)


def _check_padding(fusion, features, output):
    if "tokens" not in fusion.reads:
        return
    padded = {
        name: f
        | {
            "tokens": tf.pad(f["tokens"], [[0, 0], [0, 2], [0, 0]], constant_values=7.0),
            "mask": tf.pad(f["mask"], [[0, 0], [0, 2]]),
        }
        for name, f in features.items()
    }
    _require_close(output["pooled"], fusion(padded)["pooled"], "padding matters")


def _check_gradients(fusion, features):
    whole = {name: f | {"present": tf.ones_like(f["present"])} for name, f in features.items()}
    content = {name: {key: f[key] for key in fusion.reads if key in ("tokens", "pooled")} for name, f in whole.items()}
    with tf.GradientTape() as tape:
        tape.watch(content)
        fused = fusion({name: f | content[name] for name, f in whole.items()})
        loss = tf.reduce_sum(fused["pooled"] ** 2)
    for name, gradients in tape.gradient(loss, content).items():
        for key, gradient in gradients.items():
            reached = gradient is not None and np.any(gradient != 0)
            _require(reached, f"no gradient reaches {key} of '{name}'")


def _check_modality_dropout(fusion, features):
    dropping = type(fusion).from_config({**fusion.get_config(), "modality_dropout": 0.5, "seed": 1, "name": "dropping"})
    whole = {name: f | {"present": tf.ones_like(f["present"])} for name, f in features.items()}
    outside = dropping(whole)["pooled"]
    _require_close(outside, dropping(whole)["pooled"], "modality dropout drops outside of training")
    changed = [np.abs(dropping(whole, training=True)["pooled"] - outside).max() > 0 for _ in range(10)]
    _require(any(changed), "modality dropout drops nothing in training")


def check_encoder(model: keras.Model, name: str, inputs: Mapping[str, np.ndarray]):
    """Checks what holds for every encoder model, on inputs for one modality, with every row present.

    It returns Features of matching shapes; the content of absent rows does not matter; tokens are zero where the mask
    is False; every weight gets a gradient.
    """
    present = np.ones(len(inputs[name]), bool)
    with tf.GradientTape() as tape:
        output = model({**inputs, f"{name}_present": present}, training=True)
        loss = tf.reduce_sum(output["pooled"][:, 0] ** 3) + tf.reduce_sum(output["tokens"][..., 0] ** 3)
    for weight, gradient in zip(
        model.trainable_variables, tape.gradient(loss, [w.value for w in model.trainable_variables]), strict=True
    ):
        _require(gradient is not None, f"no gradient reaches {weight.path}")
    _require(set(output) == set(Features.__annotations__), f"it returns {sorted(output)}")
    _require(output["tokens"].shape[:2] == output["mask"].shape, "tokens and mask differ in length")

    absent = ~present
    one = model({**inputs, f"{name}_present": absent})
    other = model({name: _spoil(inputs[name]), f"{name}_present": absent})
    _require_close(one, other, "the content of absent rows matters", tolerance=0)
    _require(not np.any(one["mask"]), "tokens of absent rows are in the mask")
    _require(not np.any(one["tokens"]), "tokens of absent rows are not zero")


def _spoil(content):
    """Other content of the same shape: the largest value of its kind, or NaN."""
    value = np.nan if np.issubdtype(content.dtype, np.floating) else np.iinfo(content.dtype).max
    return np.full_like(content, value)


def check_preprocessor(preprocessor: RowPreprocessor, rows: Mapping[str, list]):
    """Checks that raw rows become the same tensors one at a time, in a batch, in tf.data and inside a graph."""
    rows = {name: tf.constant(cells) for name, cells in rows.items()}
    batch = preprocessor(rows)
    specs = preprocessor.tensor_specs()
    _require(set(batch) == set(specs), f"it returns {sorted(batch)} and declares {sorted(specs)}")
    for name, spec in specs.items():
        _require(spec.is_compatible_with(batch[name]), f"'{name}' is {batch[name].shape}, declared is {spec}")
    count = len(next(iter(rows.values())))
    singly = [preprocessor({name: cells[i : i + 1] for name, cells in rows.items()}) for i in range(count)]
    joined = {name: tf.concat([tensors[name] for tensors in singly], axis=0) for name in batch}
    _require_close(batch, joined, "one row at a time gives something else", tolerance=0)
    in_data = next(iter(tf.data.Dataset.from_tensor_slices(rows).batch(count).map(preprocessor)))
    _require_close(batch, in_data, "tf.data gives something else", tolerance=0)
    in_graph = tf.function(preprocessor, autograph=False)(rows)
    _require_close(batch, in_graph, "a graph gives something else", tolerance=0)


def check_reload(model: keras.Model, inputs: Mapping[str, np.ndarray]):
    """Checks that a saved model, loaded in a fresh process that has only imported mmkeras, predicts the same."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("model.keras", "inputs.npz", "outputs.npy")]
        model.save(paths[0])
        np.savez(paths[1], **inputs)
        command = [sys.executable, "-W", "error::UserWarning", "-c", _RELOAD, *map(str, paths)]
        process = subprocess.run(command, capture_output=True, text=True)
        _require(process.returncode == 0, f"it cannot be loaded in a fresh process:\n{process.stderr[-3000:]}")
        _require_close(model.predict(inputs, verbose=0), np.load(paths[2]), "the loaded model predicts something else")
