from collections.abc import Mapping, Sequence

import keras
import numpy as np

from mmkeras.backbone import Backbone
from mmkeras.data import Source
from mmkeras.fusion import Fusion
from mmkeras.modalities import Modality
from mmkeras.pipeline import keep_usable
from mmkeras.targets import ClassTarget, Target
from mmkeras.tasks.base import AUXILIARY_WEIGHT
from mmkeras.tasks.dense import DenseTask


@keras.saving.register_keras_serializable(package="mmkeras")
class Classifier(DenseTask):
    """Chooses one of several classes for a row, from any subset of its modalities.

    A Keras model: `compile`, `fit`, `evaluate`, `predict`, callbacks, `save` and `keras.saving.load_model` are
    Keras's own. `from_source` makes one from training rows.

    Args:
        modalities: dict from input name to an adapted modality; None with a `backbone`.
        classes: the labels, in the order of the outputs; None with a `target` that knows them.
        fusion: an object from `mk.fusion`, or its name; None for `mk.fusion.Gated()`.
        hidden_units: units of the head's hidden layer.
        dropout: share of them that is dropped in training.
        target: name of the label's column, or a `mk.targets.ClassTarget`.
        backbone: a `mk.Backbone` to build on, which may have other tasks.
        auxiliary_weight: weight of the losses of each modality alone; 0 for none.
        alignment_weight: weight of a loss that draws the vectors of the modalities of a row together; 0 for none.
        name: of the model.

    Input: as for every `RowModel`. Output shape: probabilities `(batch, classes)`, float32.

    Example:

    >>> model = mk.Classifier({"image": mk.Image(size=16)}, classes=["cat", "dog"])
    >>> model.predict_rows([{"image": None}])[0].keys()
    dict_keys(['label', 'probability'])
    """

    target_class = ClassTarget
    target_arguments = ("classes",)

    def __init__(
        self,
        modalities: Mapping[str, Modality] | None = None,
        classes: Sequence | None = None,
        fusion: str | Fusion | None = None,
        hidden_units: int = 64,
        dropout: float = 0.0,
        target: str | ClassTarget = "label",
        backbone: Backbone | None = None,
        auxiliary_weight: float = AUXILIARY_WEIGHT,
        alignment_weight: float = 0.0,
        name: str | None = None,
    ):
        target = self.make_target(target, classes)
        if not target.is_adapted:
            raise ValueError("A classifier needs its classes: give `classes`, or build it by `from_source`.")
        super().__init__(
            modalities, target, fusion, hidden_units, dropout, backbone, auxiliary_weight, alignment_weight, name
        )

    @classmethod
    def make_target(cls, target, classes=None):
        if not isinstance(target, Target):
            return ClassTarget(target, classes)
        if classes is not None:
            raise ValueError("The target has classes of its own: give `classes`, or an object as `target`, not both.")
        return target

    @property
    def classes(self) -> list[str]:
        """The labels, in the order of the outputs."""
        return self.target.classes

    def class_weights(self, source: Source) -> dict[int, float]:
        """For `fit(class_weight=...)`: weights by which each class counts as much as any other in these rows.

        A class with n of N rows, in k classes with rows, weighs N / (k * n) (King and Zeng, "Logistic Regression in
        Rare Events Data", 2001); one without rows 0.

        Example::

            model.fit(model.dataset(train, shuffle=True), class_weight=model.class_weights(train))
        """
        labels = self.encode_targets(keep_usable(source, self.check(source)))
        counts = np.bincount(labels, minlength=len(self.classes))
        weights = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
        return {index: float(weights[index]) if count else 0.0 for index, count in enumerate(counts)}
