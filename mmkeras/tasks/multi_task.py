from collections.abc import Mapping, Sequence

import keras

from mmkeras.backbone import Backbone
from mmkeras.fusion import Fusion
from mmkeras.heads import AttentionHead
from mmkeras.modalities import Modality
from mmkeras.targets import MultiTarget, Target
from mmkeras.tasks.base import AUXILIARY_WEIGHT
from mmkeras.tasks.dense import DenseTask


@keras.saving.register_keras_serializable(package="mmkeras")
class MultiTask(DenseTask):
    """Several answers to a row, classes and numbers, from any subset of its modalities.

    A row that lacks the labels of some targets teaches the others. Outputs, losses and metrics go by the names of the
    targets: `compile(optimizer, {"color": "sparse_categorical_crossentropy", ...}, metrics={"color": ["accuracy"]})`,
    which reports `color_accuracy`; `loss_weights` says how much each counts.

    Args:
        modalities: dict from input name to an adapted modality; None with a `backbone`.
        target: a `mk.targets.MultiTarget`, or what it is made of: names of columns of classes and targets, or a dict
            of such by name.
        fusion: an object from `mk.fusion`, or its name; None for `mk.fusion.Gated()`.
        hidden_units: units of the head's hidden layer, which the targets share, and of the tokens as they see them:
            each pays attention to those that tell it most (`mk.heads.AttentionHead`).
        dropout: share of what a target reads that is dropped in training.
        backbone: a `mk.Backbone` to build on, which may have other tasks.
        auxiliary_weight: weight of the losses of each modality alone; 0 for none.
        alignment_weight: weight of a loss that draws the vectors of the modalities of a row together; 0 for none.
        name: of the model.

    Input: as for every `RowModel`. Output: dict from the name of a target to its output, float32.

    Example:

    >>> rows = mk.read([{"x": 1, "color": "red", "size": 3}, {"x": 2, "color": "blue"}, {"x": 3, "size": 4}])
    >>> model = mk.MultiTask.from_source(
    ...     rows, {"facts": mk.Tabular(["x"])}, ["color", mk.targets.NumberTarget("size")]
    ... )
    >>> sorted(model.predict_rows([{"x": 5}])[0])
    ['color', 'color_probability', 'size']
    """

    target_class = MultiTarget

    def __init__(
        self,
        modalities: Mapping[str, Modality] | None = None,
        target: MultiTarget | Mapping[str, str | Target] | Sequence[str | Target] | None = None,
        fusion: str | Fusion | None = None,
        hidden_units: int = 128,
        dropout: float = 0.0,
        backbone: Backbone | None = None,
        auxiliary_weight: float = AUXILIARY_WEIGHT,
        alignment_weight: float = 0.0,
        name: str | None = None,
    ):
        target = self.make_target(target)
        if not target.is_adapted:
            raise ValueError(
                "The targets of MultiTask need their classes and statistics: give them, or build it by "
                f"`from_source`. Received: targets {list(target.targets)}"
            )
        super().__init__(
            modalities, target, fusion, hidden_units, dropout, backbone, auxiliary_weight, alignment_weight, name
        )

    @staticmethod
    def make_head(target, hidden_units, dropout, **kwargs):
        units = [part.output_units for part in target.targets.values()]
        return AttentionHead(units, hidden_units, dropout, **kwargs)

    @classmethod
    def make_target(cls, target):
        if target is None or isinstance(target, str):
            raise ValueError(f"`target` names at least two targets: target=['color', 'size']. Received: {target!r}")
        return target if isinstance(target, MultiTarget) else MultiTarget(target)
