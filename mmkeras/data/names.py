"""Names that differ, and the name that was meant."""

import difflib
import inspect
from collections.abc import Iterable


def name_uniquely(wanted: str, taken: Iterable[str]) -> str:
    """`wanted`, with a number behind it where it is taken.

    Example:

    >>> name_uniquely("head", {"head", "head_2"})
    'head_3'
    """
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def suggest(name: str, known: Iterable[str]) -> str:
    """A sentence with the nearest known name; empty where none is near.

    Example:

    >>> suggest("droput", ["dropout", "name"])
    " Did you mean 'dropout'?"
    """
    near = difflib.get_close_matches(str(name), list(map(str, known)), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def refuse_unknown(function, arguments: Iterable[str]):
    """Raises what is wrong with arguments that a class or a function does not have.

    Raises:
        TypeError: names the nearest one.
    """
    known = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        return
    for name in arguments:
        if name not in known:
            raise TypeError(
                f"{function.__name__} has no argument '{name}'.{suggest(name, known)} Its arguments: {list(known)}"
            )
