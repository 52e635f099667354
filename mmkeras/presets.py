"""A model as a folder of files that hold no code, as those of KerasHub do."""

import importlib.metadata
import json
import shutil
import tempfile
from pathlib import Path

import keras

from mmkeras.files import replacing

_CONFIG, _WEIGHTS, _METADATA = "config.json", "model.weights.h5", "metadata.json"
# Of a configuration, what is no architecture: names are counted within a process.
_APART = ("name", "module", "registered_name", "state")


def write_preset(model: keras.Model, folder: Path):
    """Writes configuration, weights and versions; the configuration last, without which there is no preset."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        path = Path(scratch) / _WEIGHTS
        model.save_weights(path)
        path.replace(folder / _WEIGHTS)
    versions = {name: importlib.metadata.version(name) for name in ("mmkeras", "keras", "tensorflow")}
    _write(folder / _METADATA, {**versions, "parameters": model.count_params()})
    _write(folder / _CONFIG, keras.saving.serialize_keras_object(model))


def read_preset(kind: type, folder: Path) -> keras.Model:
    """A model of this class from its preset.

    Raises:
        FileNotFoundError: when there is none.
        ValueError: when it is one of another class, or its weights do not fit.
    """
    model = keras.saving.deserialize_keras_object(_read_config(folder, kind))
    _load_weights(model, folder)
    return model


def load_preset(model: keras.Model, folder: Path):
    """Gives a model the weights of a preset.

    Raises:
        FileNotFoundError: when there is none.
        ValueError: for another architecture; names the first key that differs.
    """
    held = _read_config(folder, type(model))["config"]
    own = json.loads(json.dumps(keras.saving.serialize_keras_object(model)["config"], default=str))
    if differs := _find_difference(own, held):
        path, wanted, received = differs
        raise ValueError(
            f"{folder} holds another architecture. First differs {path}: this model has {wanted!r:.100}. "
            f"Received: {received!r:.100}. To make the model of the preset: {type(model).__name__}.from_preset(folder)"
        )
    _load_weights(model, folder)


def _read_config(folder, kind):
    if not (folder / _CONFIG).is_file():
        raise FileNotFoundError(f"{folder} holds no {_CONFIG}: it is no preset that save_to_preset has written whole.")
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        name = config["class_name"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / _CONFIG} is no configuration of Keras: {error}") from None
    if name != kind.__name__:
        raise ValueError(f"A preset of {kind.__name__} is wanted. Received: {folder}, of {name}")
    return config


def _load_weights(model, folder):
    with tempfile.TemporaryDirectory() as scratch:
        # Read from a copy, since a damaged file must not leave half of its weights in a model.
        path = shutil.copy(folder / _WEIGHTS, scratch)
        before = model.get_weights()
        try:
            model.load_weights(path)
        except Exception as error:  # of HDF5 or Keras, whatever is wrong with the file
            model.set_weights(before)
            raise ValueError(f"{folder / _WEIGHTS} cannot be loaded into this model: {error}") from error


def _find_difference(own, held, path=""):
    """The path of the first key that differs, and both values; None where nothing does."""
    if isinstance(own, dict) and isinstance(held, dict):
        for key in [*own, *(key for key in held if key not in own)]:
            if key in _APART:
                continue
            found = _find_difference(own.get(key), held.get(key), f"{path}/{key}" if path else key)
            if found:
                return found
        return None
    if isinstance(own, list) and isinstance(held, list) and len(own) == len(held):
        for index, (one, other) in enumerate(zip(own, held, strict=True)):
            if found := _find_difference(one, other, f"{path}[{index}]"):
                return found
        return None
    return None if own == held else (path, own, held)


def _write(path, facts):
    with replacing(path) as scratch:
        scratch.write_text(json.dumps(facts, indent=1, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
