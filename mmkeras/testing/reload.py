import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from mmkeras.exporting.preloaded import run_preloaded
from mmkeras.testing.requirements import require, require_close
from mmkeras.weights import list_weights, walk_layers

_SCRIPT = Path(__file__).parent / "scripts" / "load_model.py"
_TIME_LIMIT = 600.0  # seconds


def check_reload(model: keras.Model, inputs: Mapping[str, np.ndarray], modules: Sequence[str] = ()):
    """Checks that a saved model, loaded in a fresh process that has only imported mmkeras, is the same.

    It predicts the same; the same weights are trainable, in the same dtypes; layers have the same dtype policies; the
    optimizer goes on where it was.

    Args:
        model: what is saved.
        inputs: what it is fed, by name.
        modules: names of modules to import too, which register classes of yours.
    """
    facts, optimizer = describe_model(model)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("model.keras", "inputs.npz", "outputs.npz", "facts.json")]
        model.save(paths[0])
        np.savez(paths[1], **inputs)
        log = Path(folder) / "log.txt"
        own = json.dumps({"path": sys.path, "modules": list(modules)})
        code = run_preloaded(_SCRIPT, [*paths, own], log, _TIME_LIMIT, modules=["mmkeras"])
        require(code == 0, f"it cannot be loaded in a fresh process:\n{log.read_text(errors='replace')[-3000:]}")
        with np.load(paths[2]) as archive:
            loaded = dict(archive)
        expected = keras.tree.flatten(model.predict(inputs, verbose=0))
        outputs = [loaded.pop(f"output {i}") for i in range(len(expected))]
        require_close(expected, outputs, "the loaded model predicts something else")
        for name, (before, after) in _find_changes(facts, json.loads(paths[3].read_text())).items():
            raise AssertionError(f"{name} is {after} in the loaded model, and was {before}")
        require(set(optimizer) == set(loaded), "the optimizer has other variables")
        for name, value in optimizer.items():
            require_close(value, loaded[name], f"{name} of the optimizer changed")


def describe_model(model: keras.Model) -> tuple[dict, dict[str, np.ndarray]]:
    """What a saved model has to keep besides its weights: facts of weights and layers, and what the optimizer knows."""
    facts = {path: [bool(weight.trainable), weight.dtype] for path, weight in list_weights(model).items()}
    for path, layer in walk_layers(model):
        facts[f"{path}, trainable"] = bool(layer.trainable)
        if not isinstance(layer, keras.Model | keras.layers.InputLayer):
            facts[f"{path}, dtype policy"] = layer.dtype_policy.name
    facts["trained weights"] = len(model.trainable_weights)
    optimizer = getattr(model, "optimizer", None)
    variables = {} if optimizer is None else {f"{i}": v.numpy() for i, v in enumerate(optimizer.variables)}
    return facts, variables


def _find_changes(before, after):
    return {
        name: (before.get(name), after.get(name)) for name in {**before, **after} if before.get(name) != after.get(name)
    }
