from collections.abc import Mapping, Sequence

import keras

from mmkeras.backbone import Backbone
from mmkeras.fusion import Fusion
from mmkeras.modalities import Modality
from mmkeras.targets import NumberTarget
from mmkeras.tasks.base import AUXILIARY_WEIGHT
from mmkeras.tasks.dense import DenseTask


@keras.saving.register_keras_serializable(package="mmkeras")
class Regressor(DenseTask):
    """Predicts one or several numbers for a row, from any subset of its modalities.

    It answers in the units of the columns, and its metrics are in them. The loss (`"mse"`, `"mae"`, `"huber"`, or any
    of Keras) compares numbers that were normalized by the mean and the deviation of the training rows.

    Args:
        modalities: dict from input name to an adapted modality; None with a `backbone`.
        target: an adapted `mk.targets.NumberTarget`; `from_source` takes the name of a column, or a list of them.
        fusion: an object from `mk.fusion`, or its name; None for `mk.fusion.Gated()`.
        hidden_units: units of the head's hidden layer.
        dropout: share of them that is dropped in training.
        backbone: a `mk.Backbone` to build on, which may have other tasks.
        auxiliary_weight: weight of the losses of each modality alone; 0 for none.
        alignment_weight: weight of a loss that draws the vectors of the modalities of a row together; 0 for none.
        name: of the model.

    Input: as for every `RowModel`. Output shape: values `(batch, numbers)`, float32.

    Example:

    >>> target = mk.targets.NumberTarget(["width", "height"], statistics=[(10, 2), (50, 9)])
    >>> model = mk.Regressor({"image": mk.Image(size=16)}, target)
    >>> model.predict_rows([{"image": None}])[0].keys()
    dict_keys(['width', 'height'])
    """

    target_class = NumberTarget

    def __init__(
        self,
        modalities: Mapping[str, Modality] | None = None,
        target: NumberTarget | None = None,
        fusion: str | Fusion | None = None,
        hidden_units: int = 64,
        dropout: float = 0.0,
        backbone: Backbone | None = None,
        auxiliary_weight: float = AUXILIARY_WEIGHT,
        alignment_weight: float = 0.0,
        name: str | None = None,
    ):
        if not isinstance(target, NumberTarget) or not target.is_adapted:
            raise ValueError(
                "A regressor needs the mean and deviation of its target: give `target` as mk.targets.NumberTarget("
                f"columns, statistics), or build it by `from_source`. Received: target={target!r}"
            )
        super().__init__(
            modalities, target, fusion, hidden_units, dropout, backbone, auxiliary_weight, alignment_weight, name
        )

    @classmethod
    def make_target(cls, target: str | Sequence[str] | NumberTarget) -> NumberTarget:
        return target if isinstance(target, NumberTarget) else NumberTarget(target)
