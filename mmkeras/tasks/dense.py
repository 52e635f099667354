from collections.abc import Mapping

import keras

from mmkeras.backbone import Backbone
from mmkeras.data.names import name_uniquely
from mmkeras.fusion import Fusion
from mmkeras.heads import DenseHead
from mmkeras.modalities import Modality
from mmkeras.targets import Target
from mmkeras.tasks.base import Task


class DenseTask(Task):
    """Base of the tasks with one answer for each row: see `Classifier` for the arguments."""

    def __init__(
        self,
        modalities: Mapping[str, Modality] | None,
        target: Target,
        fusion: str | Fusion | None,
        hidden_units: int,
        dropout: float,
        backbone: Backbone | None,
        auxiliary_weight: float,
        alignment_weight: float,
        name: str | None,
    ):
        if backbone is None:
            backbone = Backbone(modalities, fusion)
        elif modalities is not None or fusion is not None:
            raise ValueError("A backbone has modalities and a fusion: give it alone, or these without a backbone.")
        taken = {layer.name for layer in backbone.layers}
        head_name = name_uniquely("head", taken)
        head = self.make_head(target, hidden_units, dropout, name=head_name, dtype=backbone.policy)
        super().__init__(backbone, target, head, auxiliary_weight, alignment_weight, name)

    @staticmethod
    def make_head(target, hidden_units, dropout, **kwargs) -> keras.layers.Layer:
        """The layer from Features to the logits of the target."""
        return DenseHead(target.output_units, hidden_units, dropout, **kwargs)

    def list_parts(self):
        return {**super().list_parts(), "hidden_units": self.head.hidden_units, "dropout": self.head.dropout}
