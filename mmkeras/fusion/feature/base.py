import keras
from keras import ops

from mmkeras.fusion.base import Fusion
from mmkeras.layers import MissingEmbedding


class VectorFusion(Fusion):
    """Base of the feature-level fusions: each modality's pooled vector is projected to `units`, then they are joined.

    An absent modality's vector is a learned one, which starts as `neutral`. The tokens of the result are the
    projected vectors, one a modality.
    """

    neutral = "zeros"
    feature_keys = ("pooled", "present")

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

    def join_vectors(self, vectors, present):
        """The projected vectors, a list of `(batch, units)`, to one; `present` is `(batch, modalities)`."""
        raise NotImplementedError

    def fuse(self, features, present, training):
        vectors = []
        for index, name in enumerate(self.names):
            vector = self.projections[name](features[name]["pooled"])
            vectors.append(self.missing_embeddings[name](vector, present[:, index]))
        return (ops.stack(vectors, axis=1), present, self.join_vectors(vectors, present)), features

    def make_dense(self, name, units, inputs, **kwargs):
        """A dense layer of vectors of this size, in the precision of the fusion."""
        dense = keras.layers.Dense(units, dtype=self.dtype_policy, name=name, **kwargs)
        dense.build((None, inputs))
        return dense
