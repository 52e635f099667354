import keras

from mmkeras.fusion.feature.base import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class Sum(VectorFusion):
    """Feature-level fusion: the vectors added.

    `F = v_1 + ... + v_n`, with `v_i` the projected vector of modality i: `F = phi(image) + phi(text)`. An absent
    modality's vector is learned and starts as zeros, which change nothing. Reference: the additive
    fusion of Kiela et al., "Efficient Large-Scale Multi-Modal Classification" (2018).

    Args: as for every `Fusion`.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, modalities, units)`.

    Example:

    >>> mk.fusion.Sum(units=32).get_config()["units"]
    32
    """

    def join_vectors(self, vectors, present):
        return sum(vectors[1:], vectors[0])
