from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Needs:
    """What an encoder needs of its preprocessor, by name of the arguments of the modality.

    Attributes:
        hard: what it cannot do without, such as the vocabulary that its weights were trained with; a modality that says
            something else is an error.
        soft: what it works best with, such as a size of images; a modality may say something else.

    Example:

    >>> needs = mk.encoders.Needs(hard={"sample_rate": 16000}, soft={"seconds": 30.0})
    >>> needs.resolve("Audio", {"sample_rate": None, "seconds": 5.0}, {"sample_rate": 8000, "seconds": 5.0})
    {'sample_rate': 16000, 'seconds': 5.0}
    """

    hard: Mapping[str, Any] = field(default_factory=dict)
    soft: Mapping[str, Any] = field(default_factory=dict)

    def resolve(self, owner: str, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict:
        """The arguments of a preprocessor: as given, else as the encoder needs, else by default.

        Args:
            owner: what messages call the modality.
            given: its arguments; None where the user did not say.
            defaults: for those of which neither the user nor the encoder says anything.

        Raises:
            ValueError: when an argument contradicts a hard need.
            TypeError: when the encoder needs what the modality has no argument for.
        """
        if unknown := sorted({*self.hard, *self.soft} - set(given)):
            raise TypeError(f"The encoder needs {unknown} of {owner}, which has no such argument: {sorted(given)}")
        for name, value in self.hard.items():
            if given[name] is not None and _comparable(given[name]) != _comparable(value):
                raise ValueError(
                    f"The encoder of {owner} works with {name}={_show(value)} only: leave `{name}` out. "
                    f"Received: {name}={_show(given[name])}"
                )
        needed = {**defaults, **self.soft, **self.hard}
        return {name: needed.get(name) if value is None else value for name, value in given.items()}


def _comparable(value):
    """Objects by their configuration, lists as tuples."""
    if hasattr(value, "get_config"):
        return type(value), value.get_config()
    return tuple(value) if isinstance(value, list) else value


def _show(value):
    shown = type(value).__name__ if hasattr(value, "get_config") else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
