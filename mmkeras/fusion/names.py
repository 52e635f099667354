"""Fusions by name."""

import difflib
import inspect
import re

import keras

from mmkeras import fusion as package
from mmkeras.fusion.base import Fusion


def list_fusions() -> dict[str, type[Fusion]]:
    """The fusions of `mk.fusion` by name: `mk.fusion.CrossAttention` is `"cross_attention"`.

    Example:

    >>> mk.fusion.list_fusions()["product"].__name__
    'Product'
    """
    return {
        re.sub("(?<=[a-z])(?=[A-Z][a-z])", "_", name).lower(): value
        for name, value in vars(package).items()
        if inspect.isclass(value) and issubclass(value, Fusion) and keras.saving.get_registered_name(value) != name
    }


def get(identifier: str | Fusion | None) -> Fusion:
    """A fusion from its name, with its default arguments; the fusion that is given; or `Gated()` from None.

    Raises:
        ValueError: for an unknown name, with the nearest known one.
        TypeError: for what is neither.

    Example:

    >>> mk.fusion.get("product").units
    128
    """
    if identifier is None:
        return package.Gated()
    if isinstance(identifier, Fusion):
        return identifier
    if not isinstance(identifier, str):
        raise TypeError(f"`fusion` is an object from `mk.fusion`, or its name. Received: fusion={identifier!r}")
    known = list_fusions()
    if identifier not in known:
        near = difflib.get_close_matches(identifier, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"`fusion` is one of {sorted(known)}.{hint} Received: fusion={identifier!r}")
    return known[identifier]()
