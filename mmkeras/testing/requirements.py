"""Conditions, and what is said when one does not hold."""

import numpy as np
from keras import tree


def require(condition, message):
    if not condition:
        raise AssertionError(message)


def require_close(expected, received, message, tolerance=1e-5):
    for a, b in zip(tree.flatten(expected), tree.flatten(received), strict=True):
        a, b = np.asarray(a, "float64"), np.asarray(b, "float64")
        difference = np.abs(a - b).max() if a.shape == b.shape else np.inf
        require(difference <= tolerance, f"{message}: differs by {difference}")
