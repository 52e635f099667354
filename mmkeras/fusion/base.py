"""What every fusion does, and the base of those that join one vector a modality."""

import keras
from keras import ops

from mmkeras.features import FEATURES, Features
from mmkeras.layers import MissingEmbedding, ModalityDropout


class Fusion(keras.layers.Layer):
    """Joins the Features of several modalities to one. Replacing one fusion by another is changing one argument.

    A subclass names in `reads` the Features that it uses, so that encoders compute no others. Modalities are taken in
    the order of their names, so the order of the dict does not matter.

    Args:
        units: size of the fused vectors.
        modality_dropout: probability to treat a present modality as absent, each row for itself, in training.
        seed: of the dropout.

    Call arguments:
        features: dict from modality name to `Features`.

    Returns: `Features`, with `pooled` of shape `(batch, units)`, and `present` where any modality is.
    """

    min_modalities = 1
    reads = FEATURES

    def __init__(self, units=128, modality_dropout=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        if units < 1:
            raise ValueError(f"`units` of {type(self).__name__} is at least 1. Received: units={units}")
        self.units = units
        self.modality_dropout = modality_dropout
        self.seed = seed
        self.drop_modalities = ModalityDropout(modality_dropout, seed, name="modality_dropout")

    def build(self, features_shape):
        if len(features_shape) < self.min_modalities:
            raise ValueError(
                f"{type(self).__name__} fuses at least {self.min_modalities} modalities. "
                f"Received: {sorted(features_shape)}. With fewer, use mk.fusion.Concatenation."
            )
        self.names = sorted(features_shape)
        self.build_fusion({name: features_shape[name] for name in self.names})

    def build_fusion(self, shapes):
        """Makes the layers; `shapes` is a dict from name to Features of shapes."""
        raise NotImplementedError

    def fuse(self, features, present, training):
        """Features by name, and `present` `(batch, modalities)` after dropout, to tokens, mask and pooled vector."""
        raise NotImplementedError

    def call(self, features, training=False):
        present = ops.stack([features[name]["present"] for name in self.names], axis=1)
        present = self.drop_modalities(present, training=training)
        tokens, mask, pooled = self.fuse(features, present, training)
        return Features(tokens=tokens, mask=mask, pooled=pooled, present=ops.any(present, axis=1))

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "modality_dropout": self.modality_dropout,
            "seed": self.seed,
        }


class VectorFusion(Fusion):
    """Base of the feature-level fusions: each modality's pooled vector is projected to `units`, then they are joined.

    An absent modality's vector is a learned one, which starts as `neutral`. The tokens of the result are the
    projected vectors, one a modality.
    """

    neutral = "zeros"
    reads = ("pooled", "present")

    def build_fusion(self, shapes):
        self.projections = {}
        self.missing_embeddings = {}
        for name in self.names:
            self.projections[name] = keras.layers.Dense(self.units, dtype=self.dtype_policy, name=f"{name}_projection")
            self.projections[name].build(shapes[name]["pooled"])
            self.missing_embeddings[name] = MissingEmbedding(
                self.neutral, dtype=self.dtype_policy, name=f"{name}_missing"
            )
            self.missing_embeddings[name].build((None, self.units))

    def join(self, vectors):
        """The projected vectors, a list of `(batch, units)`, to one `(batch, units)`."""
        raise NotImplementedError

    def fuse(self, features, present, training):
        vectors = []
        for index, name in enumerate(self.names):
            vector = self.projections[name](features[name]["pooled"])
            vectors.append(self.missing_embeddings[name](vector, present[:, index]))
        return ops.stack(vectors, axis=1), present, self.join(vectors)
