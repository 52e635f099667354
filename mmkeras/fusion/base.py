"""What every fusion does, and the seam between a fusion and the heads."""

import keras
from keras import ops

from mmkeras.features import FEATURES, Features
from mmkeras.layers import ModalityDropout

WHOLE = ("fused", "all")  # what a head may read that is not of one modality
MODALITY_DROPOUT = 0.2  # costs little and keeps answers without a modality good: benchmarks/fusion.py


class Fusion(keras.layers.Layer):
    """Joins the Features of several modalities. Replacing one fusion by another is changing one argument.

    Fusions of the feature level and of the model level join what encoders give, and a head reads the result. Those of
    the decision level (`DecisionFusion`) join what heads say of each modality alone.

    A subclass names in `feature_keys` the Features that it uses, declares in `passes_on` whether those of a modality
    come out as they went in, and in `needs_classes` whether it can only join answers that are classes. Modalities are
    taken in the order of their names, so the order of the dict does not matter.

    Args:
        units: size of the fused vectors.
        modality_dropout: probability to treat a present modality as absent, each row for itself, in training.
        seed: of the dropout.

    Call arguments:
        features: dict from modality name to `Features`.

    Returns: dict of `fused`, the `Features` of all together, with `pooled` of shape `(batch, units)` and `present`
        where any modality is; and `modalities`, for each the `Features` after the fusion: attention has changed its
        tokens, other fusions pass it on. Content of an absent modality is zero there.
    """

    feature_keys = FEATURES
    passes_on = True
    needs_classes = False

    def __init__(self, units=128, modality_dropout=MODALITY_DROPOUT, seed=None, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` of {type(self).__name__} is at least 1. Received: units={units}")
        self.units = units
        self.modality_dropout = modality_dropout
        self.seed = seed
        self.drop_modalities = ModalityDropout(modality_dropout, seed, dtype=self.dtype_policy, name="modality_dropout")

    def build(self, features_shape):
        for name, shapes in sorted(features_shape.items()):
            if lacking := [key for key in self.feature_keys if key not in shapes]:
                raise ValueError(
                    f"{type(self).__name__} reads {list(self.feature_keys)} of each modality, and the encoder of "
                    f"'{name}' gives no {' and no '.join(lacking)}. Fusions of the feature and of the decision level "
                    f"read {['pooled', 'present']}. Received: {sorted(shapes)}"
                )
        self.names = sorted(features_shape)
        self.build_fusion({name: features_shape[name] for name in self.names})

    def build_fusion(self, shapes):
        """Makes the layers; `shapes` is a dict from name to Features of shapes."""
        raise NotImplementedError

    def fuse(self, features, present, training):
        """Features by name, and `present` `(batch, modalities)`, to the fused tokens, mask and pooled vector, and to
        the Features of each modality after the fusion.
        """
        raise NotImplementedError

    def call(self, features, training=False):
        present = ops.stack([features[name]["present"] for name in self.names], axis=1)
        present = self.drop_modalities(present, training=training)
        features = {name: zero_absent(features[name], present[:, index]) for index, name in enumerate(self.names)}
        (tokens, mask, pooled), modalities = self.fuse(features, present, training)
        fused = dict(tokens=tokens, mask=mask, pooled=pooled, present=ops.any(present, axis=1))
        return {"fused": fused, "modalities": modalities}

    def join(self, features):
        """What a `Backbone` gives of the Features of its encoders."""
        return self(features)

    def connect(self, outputs, head, encoded=None):
        """The seam to the heads: what `join` gives to logits.

        Args:
            outputs: what `join` gave.
            head: a `Head`, whose `source` names what it reads: the Features of all modalities together, `"fused"`,
                those of one, by its name, or `"all"` that `join` gave.
            encoded: where the logits of each modality alone are wanted too, for losses of their own: dict from modality
                name to its Features before the fusion. A head that answers for tokens has none.

        Returns: the logits, and a dict from modality name to the logits of the modality alone, empty without `encoded`.
        """
        logits = head(select_source(outputs, head.source))
        return logits, connect_branches(encoded, head) if encoded and not head.per_token else {}

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "modality_dropout": self.modality_dropout,
            "seed": self.seed,
        }


def connect_branches(features, head):
    """For each modality the logits of a head of its own, made like `head`."""
    branches = {}
    for name, modality in sorted(features.items()):
        branch_head = type(head).from_config({**head.get_config(), "name": f"{head.name}-{name}"})
        alone = {"fused": modality, "modalities": {name: modality}}
        branches[name] = branch_head(select_source(alone, head.source if head.source in WHOLE else name))
    return branches


def select_source(outputs, source: str):
    """The part of what a fusion gave that a head of this source reads."""
    return {**outputs["modalities"], "fused": outputs["fused"], "all": outputs}[source]


def zero_absent(features, present) -> Features:
    """The Features of a modality, as many as there are, where only these rows have it: all else is zero, also the
    tokens of padding.
    """
    kept = dict(features)
    if "tokens" in kept:
        kept["mask"] = ops.logical_and(kept["mask"], ops.expand_dims(present, 1))
        kept["tokens"] = _keep(kept["tokens"], ops.expand_dims(kept["mask"], -1))
    if "pooled" in kept:
        kept["pooled"] = _keep(kept["pooled"], ops.expand_dims(present, -1))
    return {**kept, "present": present}


def _keep(values, condition):
    return ops.where(condition, values, ops.zeros_like(values))
