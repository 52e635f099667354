"""The one type that passes from encoders to fusion, and from fusion to heads."""

from typing import Any, TypedDict


class Features(TypedDict):
    """What an encoder knows of a batch of rows: a plain dict, so any Keras model can return it.

    - `tokens`: float `(batch, length, units)`, one vector for each word, image patch or time step.
      Zero where `mask` is False.
    - `mask`: bool `(batch, length)`, False for padding and for every token of an absent row.
    - `pooled`: float `(batch, units)`, one vector for the whole.
    - `present`: bool `(batch,)`, False where the row lacks this modality.
    """

    tokens: Any
    mask: Any
    pooled: Any
    present: Any


FEATURES = tuple(Features.__annotations__)
