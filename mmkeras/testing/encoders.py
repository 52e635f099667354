import keras
import numpy as np
import tensorflow as tf

from mmkeras.features import Features
from mmkeras.testing.requirements import require, require_close


def check_encoder(model: keras.Model, content: np.ndarray, length: np.ndarray | None = None):
    """Checks what holds for every encoder model, on content with every row present, and its length where there is one.

    It returns Features of matching shapes; the content of absent rows does not matter; tokens are zero where the mask
    is False; every weight gets a gradient.
    """
    present = np.ones(len(content), bool)
    lengths = {} if length is None else {"length": length}
    with tf.GradientTape() as tape:
        output = model({"content": content, "present": present, **lengths}, training=True)
        loss = tf.reduce_sum(output["pooled"][:, 0] ** 3) + tf.reduce_sum(output["tokens"][..., 0] ** 3)
    for weight, gradient in zip(
        model.trainable_variables, tape.gradient(loss, [w.value for w in model.trainable_variables]), strict=True
    ):
        require(gradient is not None, f"no gradient reaches {weight.path}")
    require(set(output) == set(Features.__annotations__), f"it returns {sorted(output)}")
    require(output["tokens"].shape[:2] == output["mask"].shape, "tokens and mask differ in length")

    absent = ~present
    one = model({"content": content, "present": absent, **lengths})
    spoiled = {name: _spoil(array) for name, array in lengths.items()}
    other = model({"content": _spoil(content), "present": absent, **spoiled})
    require_close(one, other, "the content of absent rows matters", tolerance=0)
    require(not np.any(one["mask"]), "tokens of absent rows are in the mask")
    require(not np.any(one["tokens"]), "tokens of absent rows are not zero")


def _spoil(content):
    """Other content of the same shape: the largest value of its kind, or NaN."""
    value = np.nan if np.issubdtype(content.dtype, np.floating) else np.iinfo(content.dtype).max
    return np.full_like(content, value)
