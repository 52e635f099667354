"""What a user changed on the layers of a model, so that a saved model keeps it: trainability, precision, LoRA."""

import contextlib
from collections.abc import Mapping

import keras

from mmkeras.weights import walk_layers


def read_state(model: keras.Model) -> dict[str, dict]:
    """By path of the layer: `trainable` where it is False, `dtype` where it is not that of the backbone, `lora_rank`.

    Example:

    >>> model = mk.Image(size=8).build_encoder("image")
    >>> model.get_layer("block1_conv").trainable = False
    >>> mk.state.read_state(model)
    {'block1_conv': {'trainable': False}}
    """
    policy = getattr(getattr(model, "backbone", model), "policy", keras.dtype_policies.get("float32"))
    state = {}
    for path, layer in walk_layers(model):
        changed = {}
        if not layer.trainable:
            changed["trainable"] = False
        if getattr(layer, "lora_enabled", False):
            changed["lora_rank"] = layer.lora_rank
        if not isinstance(layer, keras.Model | keras.layers.InputLayer) and layer.dtype_policy != policy:
            changed["dtype"] = keras.dtype_policies.serialize(layer.dtype_policy)
        if changed:
            state[path] = changed
    return state


def apply_state(model: keras.Model, state: Mapping[str, Mapping]):
    """Makes the layers of a model of the same architecture what `read_state` read.

    Raises:
        ValueError: when the model has no layer of a path.
    """
    layers = dict(walk_layers(model))
    if unknown := sorted(set(state) - set(layers)):
        raise ValueError(f"The model {model.name} has no layers {unknown[:5]}, whose state was saved.")
    for path, layer in layers.items():  # a layer sets those inside of it, which come later
        saved = state.get(path, {})
        if "dtype" in saved:
            layer.dtype_policy = keras.dtype_policies.deserialize(saved["dtype"])
        if layer.trainable != saved.get("trainable", True):
            layer.trainable = not layer.trainable
        if "lora_rank" in saved and not layer.lora_enabled:
            layer.enable_lora(saved["lora_rank"])


@contextlib.contextmanager
def use_policy(policy):
    """Layers made in this context have this dtype policy where they do not name another one."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
