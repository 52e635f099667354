"""Fusions by name."""

import difflib

from mmkeras.fusion.base import Fusion
from mmkeras.fusion.decision.mean_logits import MeanLogits
from mmkeras.fusion.feature.concatenation import Concatenation
from mmkeras.fusion.feature.product import Product
from mmkeras.fusion.model.cross_attention import CrossAttention

FUSIONS = {
    "concatenation": Concatenation,
    "cross_attention": CrossAttention,
    "mean_logits": MeanLogits,
    "product": Product,
}


def get(identifier: str | Fusion | None) -> Fusion:
    """A fusion from its name, with its default arguments; the fusion that is given; or `Concatenation()` from None.

    Raises:
        ValueError: for an unknown name, with the nearest known one.
        TypeError: for what is neither.

    Example:

    >>> mk.fusion.get("product").units
    128
    """
    if identifier is None:
        return Concatenation()
    if isinstance(identifier, Fusion):
        return identifier
    if not isinstance(identifier, str):
        raise TypeError(f"`fusion` is an object from `mk.fusion`, or its name. Received: fusion={identifier!r}")
    if identifier not in FUSIONS:
        near = difflib.get_close_matches(identifier, FUSIONS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"`fusion` is one of {sorted(FUSIONS)}.{hint} Received: fusion={identifier!r}")
    return FUSIONS[identifier]()
