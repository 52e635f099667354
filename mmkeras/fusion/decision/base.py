from keras import ops

from mmkeras.fusion.base import MODALITY_DROPOUT, WHOLE, Fusion, connect_branches


class DecisionFusion(Fusion):
    """Base of the decision-level fusions: each modality gets a head of its own, and their logits are joined.

    As a layer it is called with the logits. A backbone with it gives the Features of its modalities, and no fused ones.
    Logits are float32, whatever the precision of the model.

    Args:
        modality_dropout, seed: as for every `Fusion`.

    Call arguments:
        logits: dict from modality name to `(batch, units)`.
        present: dict from modality name to bool `(batch,)`.

    Output shape: `(batch, units)`.
    """

    feature_keys = ("pooled", "present")

    def __init__(self, modality_dropout=MODALITY_DROPOUT, seed=None, **kwargs):
        super().__init__(modality_dropout=modality_dropout, seed=seed, **{**kwargs, "dtype": "float32"})

    def build(self, logits_shape, present_shape=None):
        self.names = sorted(logits_shape)
        self.build_fusion({name: logits_shape[name] for name in self.names})

    def build_fusion(self, shapes):
        """Makes the layers; `shapes` is a dict from name to the shape of the logits. Most have none."""

    def join_logits(self, logits, present, training):
        """Logits `(batch, modalities, units)`, zero where absent, and `present` `(batch, modalities)` to
        `(batch, units)`.
        """
        raise NotImplementedError

    def call(self, logits, present, training=False):
        flags = ops.stack([present[name] for name in self.names], axis=1)
        flags = self.drop_modalities(flags, training=training)
        stacked = ops.stack([logits[name] for name in self.names], axis=1)
        stacked = ops.where(ops.expand_dims(flags, -1), stacked, ops.zeros_like(stacked))
        return self.join_logits(stacked, flags, training)

    def compute_output_shape(self, logits_shape, present_shape=None):
        return next(iter(logits_shape.values()))

    def join(self, features):
        return {"modalities": features}

    def connect(self, outputs, head, encoded=None):
        if head.per_token:
            raise ValueError(
                f"{type(self).__name__} joins one answer of each modality, and {type(head).__name__} answers for "
                "tokens. Use a fusion of another level, such as 'cross_attention'."
            )
        if head.source not in WHOLE:
            raise ValueError(
                f"{type(self).__name__} gives each modality a head, so a head cannot read one of them alone. "
                f"Received: source={head.source!r}. Use a fusion of another level."
            )
        branches = connect_branches(outputs["modalities"], head)
        present = {name: features["present"] for name, features in outputs["modalities"].items()}
        # Another task on the same backbone joins other logits.
        fusion = type(self).from_config({**self.get_config(), "name": f"{head.name}-joined"})
        return fusion(branches, present), branches

    def get_config(self):
        config = super().get_config()
        del config["units"]
        return config
