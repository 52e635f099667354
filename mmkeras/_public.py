"""What `dir` and `import *` give of a public package."""

from collections.abc import Mapping, Sequence
from types import ModuleType


def expose(namespace: Mapping, modules: Sequence[str] = ()):
    """`__all__` and `__dir__` for an `__init__.py`: the names that it imports, without modules but the named ones.

    Example:

    >>> names, _ = expose({"np": np, "Gated": mk.fusion.Gated, "_own": 1})
    >>> names
    ['Gated']
    """
    names = [
        name
        for name, value in namespace.items()
        if value is not expose and not name.startswith("_") and (name in modules or not isinstance(value, ModuleType))
    ]
    return sorted(names), lambda: sorted(names)
