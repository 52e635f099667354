"""Labels to class indices."""

from collections.abc import Sequence

import numpy as np


def learn_classes(labels: Sequence[str]) -> list[str]:
    """The distinct non-empty labels, sorted.

    Raises:
        ValueError: when fewer than two are left.

    Example:

    >>> learn_classes(["no", "yes", "", "no"])
    ['no', 'yes']
    """
    classes = sorted({label for label in labels if label})
    if len(classes) < 2:
        raise ValueError(f"A classifier needs rows of at least two classes. Received: classes={classes}")
    return classes


def encode_labels(labels: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """The index of each label in `classes`, int32 `(rows,)`.

    Raises:
        KeyError: for a label that is not among the classes.

    Example:

    >>> encode_labels(["yes", "no"], ["no", "yes"]).tolist()
    [1, 0]
    """
    indices = {name: index for index, name in enumerate(classes)}
    return np.array([indices[label] for label in labels], "int32")
