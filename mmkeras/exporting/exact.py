"""The model that artifacts are made of: in float32, and on one device."""

import keras
import numpy as np


def make_exact(model):
    """The model, or a copy of it in float32 where it computes in lower precision or was built under a strategy.

    Converters know no bfloat16, and what is compared has to be exact. The weights are the same.

    Example:

    >>> from mmkeras.exporting.exact import make_exact
    >>> model = mk.Classifier({"image": mk.Image(size=8)}, ["a", "b"])
    >>> make_exact(model) is model
    True
    """
    dtypes = {layer.compute_dtype for layer in model._flatten_layers() if layer is not model}
    if dtypes <= {"float32"} and model._distribute_strategy is None:
        return model
    config = _replace_dtypes(keras.saving.serialize_keras_object(model))
    config.pop("compile_config", None)
    copy = keras.saving.deserialize_keras_object(config)
    copy.set_weights([np.asarray(keras.ops.cast(weight, "float32")) for weight in model.weights])
    return copy


def _replace_dtypes(config):
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy":
            return {**config, "config": {"name": "float32"}}
        return {
            key: "float32" if key == "dtype" and _is_low(value) else _replace_dtypes(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return [_replace_dtypes(part) for part in config]
    return config


def _is_low(dtype):
    return dtype in ("mixed_float16", "mixed_bfloat16", "float16", "bfloat16")
