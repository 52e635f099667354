from collections.abc import Mapping, Sequence

import keras
import numpy as np

from mmkeras.fusion import Fusion
from mmkeras.heads import ClassificationHead
from mmkeras.modalities import Modality
from mmkeras.preprocessing import encode_labels, learn_classes
from mmkeras.tasks.base import Task


@keras.saving.register_keras_serializable(package="mmkeras")
class Classifier(Task):
    """Chooses one of several classes for a row, from any subset of its modalities.

    A Keras model: `compile`, `fit`, `evaluate`, `predict`, callbacks, `save` and `keras.saving.load_model` are
    Keras's own. `from_source` makes one from training rows.

    Args:
        modalities: dict from input name to an adapted modality.
        classes: the labels, in the order of the outputs.
        fusion: a `Fusion`; None for `mk.fusion.Concatenation()`.
        hidden_units: units of the head's hidden layer.
        dropout: share of them that is dropped in training.
        target: name of the label's column; `predict_rows` answers under this name.

    Input: as for every `Task`. Output shape: probabilities `(batch, classes)`, float32.

    Example:

    >>> model = mk.Classifier({"image": mk.Image(size=16)}, classes=["cat", "dog"])
    >>> model.predict_rows([{"image": None}])[0].keys()
    dict_keys(['label', 'probability'])
    """

    def __init__(
        self,
        modalities: Mapping[str, Modality],
        classes: Sequence[str],
        fusion: Fusion | None = None,
        hidden_units: int = 64,
        dropout: float = 0.0,
        target: str = "label",
        **kwargs,
    ):
        classes = list(classes)
        if len(classes) < 2 or len(set(classes)) < len(classes):
            raise ValueError(f"`classes` holds at least two labels, each once. Received: classes={classes}")
        head = ClassificationHead(len(classes), hidden_units, dropout, name="head")
        super().__init__(modalities, fusion, head, target, **kwargs)
        self.classes = classes

    @classmethod
    def _from_usable(cls, source, modalities, **kwargs):
        classes = learn_classes(source.labels())
        task = cls(modalities, classes, target=source.target, **kwargs)
        task.compile("adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        return task

    def check(self, source):
        return source.check(self.modalities, self.classes)

    def encode_targets(self, source):
        return encode_labels(source.labels(), self.classes)

    def _describe(self, output):
        best = int(np.argmax(output))
        return {self.target: self.classes[best], "probability": float(output[best])}

    def get_config(self):
        return {
            **super().get_config(),
            "classes": self.classes,
            "hidden_units": self.head.hidden_units,
            "dropout": self.head.dropout,
        }
