"""Keras's metrics of one label a class, on the integer labels of a classifier."""

import keras
import tensorflow as tf
from keras import ops

__all__ = ["BalancedAccuracy", "fit_labels", "is_lower_better"]

_BY_COLUMN = ("AUC", "PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity")
_ONE_HOT = ("F1Score", "FBetaScore", "Precision", "Recall", *_BY_COLUMN)
_NAMES = {
    "auc": keras.metrics.AUC,
    "auroc": keras.metrics.AUC,
    "balanced_accuracy": lambda: BalancedAccuracy(),
    "f1_score": keras.metrics.F1Score,
    "fbeta_score": keras.metrics.FBetaScore,
    "log_loss": keras.metrics.SparseCategoricalCrossentropy,
    "macro_f1": lambda: keras.metrics.F1Score(average="macro"),
    "precision": keras.metrics.Precision,
    "recall": keras.metrics.Recall,
}
_LOW_IS_GOOD = ("loss", "error", "crossentropy", "divergence", "poisson", "logcosh")


def is_lower_better(name: str) -> bool:
    """Whether a metric of this name is better the smaller it is.

    Example:

    >>> is_lower_better("log_loss"), is_lower_better("accuracy")
    (True, False)
    """
    return any(part in name for part in _LOW_IS_GOOD)


def fit_labels(metric):
    """The metric for integer labels and probabilities of classes; others, and names that Keras knows, as they are.

    Names are `"auc"` or `"auroc"` (area under the ROC curve), `"balanced_accuracy"`, `"f1_score"` (of each class),
    `"macro_f1"`, `"fbeta_score"`, `"log_loss"`, `"precision"` and `"recall"`.

    Example:

    >>> metric = fit_labels("auc")
    >>> metric.update_state(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    >>> float(metric.result())
    1.0
    """
    if isinstance(metric, str) and metric.lower() in _NAMES:
        name = metric.lower()
        metric = _NAMES[name]()
        metric.name = name
    return OneHotLabels(metric) if type(metric).__name__ in _ONE_HOT else metric


@keras.saving.register_keras_serializable(package="mmkeras")
class BalancedAccuracy(keras.metrics.Metric):
    """The mean over the classes of the share of their rows that is answered rightly: chance is 1 / classes, however
    many rows each class has. Classes without a row do not count. Reference: Brodersen et al., "The Balanced Accuracy
    and Its Posterior Distribution" (2010).

    Call arguments:
        y_true: int tensor `(batch,)`.
        y_pred: probabilities `(batch, classes)`.

    Example:

    >>> metric = BalancedAccuracy()
    >>> metric.update_state(np.array([0, 0, 0, 1]), np.array([[0.9, 0.1]] * 4))
    >>> float(metric.result())
    0.5
    """

    def __init__(self, name="balanced_accuracy", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.right, self.rows = None, None

    def update_state(self, y_true, y_pred, sample_weight=None):
        classes = y_pred.shape[-1]
        if self.rows is None:
            with tf.init_scope():  # like Keras's F1Score, which knows the classes no earlier
                self.right, self.rows = (
                    self.add_variable((classes,), "zeros", name=name) for name in ("right", "rows")
                )
        labels = ops.reshape(ops.cast(y_true, "int32"), (-1,))
        weights = ops.ones_like(labels, self.dtype)
        if sample_weight is not None:
            weights = weights * ops.reshape(ops.cast(sample_weight, self.dtype), (-1,))
        rows = ops.one_hot(labels, classes, dtype=self.dtype) * ops.expand_dims(weights, 1)
        is_right = ops.cast(ops.equal(ops.argmax(y_pred, axis=1), labels), self.dtype)
        self.rows.assign(self.rows + ops.sum(rows, axis=0))
        self.right.assign(self.right + ops.sum(rows * ops.expand_dims(is_right, 1), axis=0))

    def result(self):
        shares = self.right / ops.maximum(self.rows, keras.config.epsilon())
        return ops.sum(shares) / ops.maximum(ops.sum(ops.cast(self.rows > 0, self.dtype)), 1)

    def reset_state(self):
        for variable in self.variables:
            variable.assign(ops.zeros(variable.shape))

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


class _Wrapper(keras.metrics.Metric):
    """Base of metrics that hand another metric other rows or labels than they are given."""

    def __init__(self, metric, name=None, **kwargs):
        super().__init__(name=name or metric.name, **kwargs)
        self.metric = metric

    def result(self):
        return self.metric.result()

    def reset_state(self):
        self.metric.reset_state()

    def get_config(self):
        return {"metric": keras.saving.serialize_keras_object(self.metric), "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["metric"]), config["name"])


@keras.saving.register_keras_serializable(package="mmkeras")
class OneHotLabels(_Wrapper):
    """A Keras metric that is fed one label a class, made of integer labels.

    Of two classes, curves and what is read off them are those of the second class; of more, those of all classes
    together, or of each class with `multi_label=True` of the metric.

    Args:
        metric: an object from `keras.metrics`, such as `keras.metrics.AUC()`.

    Call arguments:
        y_true: int tensor `(batch,)`.
        y_pred: probabilities `(batch, classes)`.
    """

    def update_state(self, y_true, y_pred, sample_weight=None):
        classes = y_pred.shape[-1]
        labels = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), classes, dtype="float32")
        if classes == 2 and type(self.metric).__name__ in ("Precision", "Recall", *_BY_COLUMN):
            labels, y_pred = labels[:, 1:], y_pred[:, 1:]
        return self.metric.update_state(labels, y_pred, sample_weight)


def is_known(truth):
    """Which rows have a label, bool `(batch,)`: a missing class is -1, a missing number NaN."""
    labels = ops.reshape(truth, (ops.shape(truth)[0], -1))
    known = ops.isfinite(labels) if "float" in keras.backend.standardize_dtype(labels.dtype) else labels >= 0
    return ops.all(known, axis=1)


def fill_unknown(truth):
    """The truth with zeros where a row has no label, and which rows have one."""
    known = is_known(truth)
    return ops.where(ops.reshape(known, (-1, *[1] * (len(truth.shape) - 1))), truth, ops.zeros_like(truth)), known


@keras.saving.register_keras_serializable(package="mmkeras")
class OfKnown(_Wrapper):
    """A Keras metric of the rows that have a label.

    Args:
        metric: an object from `keras.metrics`, or its name.

    Call arguments:
        y_true: tensor `(batch, ...)`, -1 or NaN where there is no label.
        y_pred: tensor `(batch, ...)`.

    Example:

    >>> metric = OfKnown("mae")
    >>> metric.update_state(np.array([[1.0], [np.nan]]), np.array([[3.0], [9.0]]))
    >>> float(metric.result())
    2.0
    """

    def __init__(self, metric, name=None, **kwargs):
        if metric in ("accuracy", "acc"):
            metric = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        super().__init__(keras.metrics.get(metric), name, **kwargs)

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, known = fill_unknown(y_true)
        weights = ops.cast(known, "float32")
        if sample_weight is not None:
            weights = weights * ops.reshape(ops.cast(sample_weight, "float32"), (-1,))
        return self.metric.update_state(y_true, y_pred, weights)


def __dir__():
    return __all__
