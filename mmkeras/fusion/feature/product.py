import keras

from mmkeras.fusion.feature.base import VectorFusion


@keras.saving.register_keras_serializable(package="mmkeras")
class Product(VectorFusion):
    """Feature-level fusion: the vectors multiplied element by element, for answers that need every modality at once.

    `F = v_1 * ... * v_n`, with `v_i` the projected vector of modality i. An absent modality's vector is learned
    and starts as ones, which change nothing. Reference: Antol et al., "VQA: Visual Question Answering" (2015).

    Args: as for every `Fusion`.

    Output shape: `pooled` `(batch, units)`, `tokens` `(batch, modalities, units)`.

    Example:

    >>> mk.fusion.Product(units=32).get_config()["units"]
    32
    """

    neutral = "ones"

    def join_vectors(self, vectors, present):
        product = vectors[0]
        for vector in vectors[1:]:
            product = product * vector
        return product
