import keras
import numpy as np

from mmkeras.targets.base import Target

_SAME = 0.999


@keras.saving.register_keras_serializable(package="mmkeras")
class VectorTarget(Target):
    """A vector of length 1 for each row, which stands in no column; 0 where there is nothing to tell.

    Two outputs are the same where their cosine is above 0.999.

    Args:
        units: size of the vector.

    Example:

    >>> target = mk.targets.VectorTarget(2)
    >>> target.same_answer({"vector": np.array([[1.0, 0.0]])}, {"vector": np.array([[0.0, 1.0]])}).tolist()
    [False]
    """

    columns = ()
    output_name = "vector"
    is_adapted = True

    def __init__(self, units: int):
        self.units = units

    def describe(self, outputs, decoded=None):
        return [{self.output_name: vector} for vector in outputs[self.output_name]]

    def same_answer(self, expected, received):
        return are_parallel(expected[self.output_name], received[self.output_name])

    def get_config(self):
        return {"units": self.units}


def are_parallel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """For each row whether both arrays `(rows, ...)` have a cosine above 0.999, or are 0, bool `(rows,)`."""
    one, other = (np.asarray(array, "float64").reshape(len(array), -1) for array in (one, other))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    cosines = np.sum(one * other, axis=1) / np.maximum(lengths, 1e-9)
    return (cosines > _SAME) | ((np.abs(one).max(axis=1) == 0) & (np.abs(other).max(axis=1) == 0))
