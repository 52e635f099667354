"""Losses that Keras has for truth in one-hot vectors only, and of pairs."""

import keras
from keras import ops

__all__ = ["FocalCrossentropy", "SmoothedCrossentropy", "info_nce"]

_LEAST = 1e-7


def info_nce(scores, negatives):
    """For each row `-log(exp(s_ii) / sum_j exp(s_ij))`, with j over i and its negatives.

    Reference: van den Oord et al., "Representation Learning with Contrastive Predictive Coding" (2018), equation 4.

    Args:
        scores: `(rows, rows)`, in the diagonal those of the pairs.
        negatives: bool `(rows, rows)`, without the diagonal.

    Returns: `(rows,)`, 0 for a row without negatives.

    Example:

    >>> scores = np.array([[2.0, 0.0], [0.0, 2.0]], "float32")
    >>> [round(float(loss), 4) for loss in info_nce(scores, ~np.eye(2, dtype=bool))]
    [0.1269, 0.1269]
    """
    own = ops.diagonal(scores)
    others = ops.where(negatives, scores, -1e9)
    return ops.logsumexp(ops.concatenate([ops.expand_dims(own, 1), others], axis=1), axis=1) - own


@keras.saving.register_keras_serializable(package="mmkeras")
class FocalCrossentropy(keras.losses.Loss):
    """Cross-entropy in which rows that are answered rightly and surely count little: for rare classes.

    `-(1 - p_y)^gamma log p_y` for probabilities p and the class y. Reference: Lin et al., "Focal Loss for Dense Object
    Detection" (2017), equation 4; classes are weighed by `fit(class_weight=model.class_weights(train))`.

    Args:
        gamma: 0 or more; 0 for plain cross-entropy.
        reduction, name: as for every loss of Keras.

    Call arguments:
        y_true: indices of classes `(batch,)` or `(batch, 1)`.
        y_pred: probabilities `(batch, classes)`.

    Raises:
        ValueError: for another gamma.

    Example:

    >>> loss = mk.losses.FocalCrossentropy(gamma=2)
    >>> round(float(loss(np.array([0]), np.array([[0.5, 0.25, 0.25]]))), 4)
    0.1733
    """

    def __init__(self, gamma: float = 2.0, reduction="sum_over_batch_size", name: str = "focal_crossentropy"):
        if not gamma >= 0:
            raise ValueError(f"`gamma` is 0 or more. Received: gamma={gamma}")
        super().__init__(name=name, reduction=reduction)
        self.gamma = gamma

    def call(self, y_true, y_pred):
        truth = ops.one_hot(ops.reshape(y_true, (-1,)), y_pred.shape[-1], dtype=y_pred.dtype)
        own = ops.clip(ops.sum(truth * y_pred, axis=-1), _LEAST, 1 - _LEAST)
        return -((1 - own) ** self.gamma) * ops.log(own)

    def get_config(self):
        return {**super().get_config(), "gamma": self.gamma}


@keras.saving.register_keras_serializable(package="mmkeras")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy where each other class is taken for a little true, so that a model does not become too sure.

    `-(1 - s) log p_y - s mean_k log p_k` for probabilities p, the class y, and the smoothing s. Reference: Szegedy et
    al., "Rethinking the Inception Architecture for Computer Vision" (2016), section 7.

    Args:
        smoothing: from 0, for plain cross-entropy, to less than 1.
        reduction, name: as for every loss of Keras.

    Call arguments:
        y_true: indices of classes `(batch,)` or `(batch, 1)`.
        y_pred: probabilities `(batch, classes)`.

    Raises:
        ValueError: for another smoothing.

    Example:

    >>> loss = mk.losses.SmoothedCrossentropy(0.2)
    >>> round(float(loss(np.array([0]), np.array([[0.5, 0.25, 0.25]]))), 4)
    0.7856
    """

    def __init__(self, smoothing: float = 0.1, reduction="sum_over_batch_size", name: str = "smoothed_crossentropy"):
        if not 0 <= smoothing < 1:
            raise ValueError(f"`smoothing` is a share, from 0 to less than 1. Received: smoothing={smoothing}")
        super().__init__(name=name, reduction=reduction)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        logarithms = ops.log(ops.maximum(y_pred, _LEAST))
        truth = ops.one_hot(ops.reshape(y_true, (-1,)), y_pred.shape[-1], dtype=logarithms.dtype)
        own = ops.sum(truth * logarithms, axis=-1)
        return -(1 - self.smoothing) * own - self.smoothing * ops.mean(logarithms, axis=-1)

    def get_config(self):
        return {**super().get_config(), "smoothing": self.smoothing}


def __dir__():
    return __all__
