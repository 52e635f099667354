"""Keras's metrics of one label a class, on the integer labels of a classifier."""

import keras
from keras import ops

_BY_COLUMN = ("AUC", "PrecisionAtRecall", "RecallAtPrecision", "SensitivityAtSpecificity", "SpecificityAtSensitivity")
_ONE_HOT = ("F1Score", "FBetaScore", "Precision", "Recall", *_BY_COLUMN)
_NAMES = {
    "auc": "AUC",
    "f1_score": "F1Score",
    "fbeta_score": "FBetaScore",
    "precision": "Precision",
    "recall": "Recall",
}


def fit_labels(metric):
    """The metric for integer labels and probabilities of classes; others, and names that Keras knows, as they are.

    Example:

    >>> metric = fit_labels("auc")
    >>> metric.update_state(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]]))
    >>> float(metric.result())
    1.0
    """
    if isinstance(metric, str) and metric.lower() in _NAMES:
        metric = getattr(keras.metrics, _NAMES[metric.lower()])(name=metric.lower())
    return OneHotLabels(metric) if type(metric).__name__ in _ONE_HOT else metric


@keras.saving.register_keras_serializable(package="mmkeras")
class OneHotLabels(keras.metrics.Metric):
    """A Keras metric that is fed one label a class, made of integer labels.

    Of two classes, curves and what is read off them are those of the second class; of more, those of all classes
    together, or of each class with `multi_label=True` of the metric.

    Args:
        metric: an object from `keras.metrics`, such as `keras.metrics.AUC()`.

    Call arguments:
        y_true: int tensor `(batch,)`.
        y_pred: probabilities `(batch, classes)`.
    """

    def __init__(self, metric, name=None, **kwargs):
        super().__init__(name=name or metric.name, **kwargs)
        self.metric = metric

    def update_state(self, y_true, y_pred, sample_weight=None):
        classes = y_pred.shape[-1]
        labels = ops.one_hot(ops.reshape(ops.cast(y_true, "int32"), (-1,)), classes, dtype="float32")
        if classes == 2 and type(self.metric).__name__ in ("Precision", "Recall", *_BY_COLUMN):
            labels, y_pred = labels[:, 1:], y_pred[:, 1:]
        return self.metric.update_state(labels, y_pred, sample_weight)

    def result(self):
        return self.metric.result()

    def reset_state(self):
        self.metric.reset_state()

    def get_config(self):
        return {"metric": keras.saving.serialize_keras_object(self.metric), "name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["metric"]), config["name"])
