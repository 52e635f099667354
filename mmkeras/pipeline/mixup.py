"""Rows that are mixed with others of their batch in training."""

import random
from collections.abc import Mapping

import tensorflow as tf

from mmkeras.modalities import Modality

_FIRST, _SECOND, _SHARE = "mixup_first", "mixup_second", "mixup_share"


def mix_batches(dataset: tf.data.Dataset, modalities: Mapping[str, Modality], alpha: float) -> tf.data.Dataset:
    """Each row becomes `s * row + (1 - s) * other`, with another row of its batch; the loss weighs both truths alike.

    The share s is drawn from Beta(alpha, alpha) for each row anew, and is at least one half. All modalities of a row
    are mixed with those of the same other row, unless one of both rows lacks it. Reference: Zhang et al., "mixup:
    Beyond Empirical Risk Minimization" (2018).

    Args:
        dataset: batches `(tensors, truth)` or `(tensors, truth, weights)`.
        modalities: images, sounds and videos, by name.
        alpha: greater than 0; the larger, the more rows are mixed evenly.

    Returns: batches as before, with a dict of both truths and of the shares in place of the truth: see `read_mixed`.

    Raises:
        ValueError: for another `alpha`, or a modality whose content cannot be mixed.
    """
    if not alpha > 0:
        raise ValueError(f"`mixup` is greater than 0, or 0 for none. Received: mixup={alpha}")
    if wrong := [name for name, modality in modalities.items() if modality.preprocessor.media_type is None]:
        raise ValueError(
            f"Images, sounds and videos can be mixed, texts, tables and histories cannot. Received: mixup={alpha}, and "
            f"modalities {wrong}"
        )

    def mix(batch, seed):
        tensors, truth, *weights = batch
        count = tf.shape(next(iter(tensors.values())))[0]
        other = tf.argsort(tf.random.stateless_uniform([count], seed))
        one, two = tf.unstack(tf.random.stateless_gamma([2, count], seed, alpha))
        drawn = one / tf.maximum(one + two, 1e-9)
        drawn = tf.maximum(drawn, 1 - drawn)
        mixed, is_mixed = dict(tensors), tf.zeros_like(other, tf.bool)
        for name in modalities:
            present = tensors[f"{name}_present"]
            both = present & tf.gather(present, other)
            is_mixed |= both
            mixed[name] = _blend(tensors[name], other, tf.where(both, drawn, 1.0))
            if f"{name}_length" in tensors:
                length = tensors[f"{name}_length"]
                mixed[f"{name}_length"] = tf.where(both, tf.maximum(length, tf.gather(length, other)), length)
        second = tf.nest.map_structure(lambda part: tf.gather(part, other), truth)
        return mixed, {_FIRST: truth, _SECOND: second, _SHARE: tf.where(is_mixed, drawn, 1.0)}, *weights

    # TensorFlow's stateful draws would come back alike in every epoch, once somebody has set a seed.
    seeds = tf.data.Dataset.random(random.getrandbits(31), rerandomize_each_iteration=True).batch(2)
    return tf.data.Dataset.zip(dataset, seeds).map(mix, num_parallel_calls=tf.data.AUTOTUNE)


def _blend(content, other, share):
    share = tf.reshape(share, [-1] + [1] * (content.shape.rank - 1))
    values = tf.cast(content, tf.float32)
    values = share * values + (1 - share) * tf.gather(values, other)
    return tf.cast(values if content.dtype.is_floating else tf.round(values), content.dtype)


def read_mixed(truth):
    """Both truths and the share of the first of what `mix_batches` gives in their place; None for any other truth."""
    if not isinstance(truth, dict) or _SHARE not in truth:
        return None
    return truth[_FIRST], truth[_SECOND], truth[_SHARE]
