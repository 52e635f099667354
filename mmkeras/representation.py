"""How objects that are made from a configuration are shown."""

import inspect
import reprlib

_SHORT = reprlib.Repr()
_SHORT.maxstring = 60
_SHORT.maxother = 200
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxdict = 6


class Represented:
    """Base with a `repr` of the arguments that differ from their defaults; long values are cut.

    Subclasses keep their constructor arguments as attributes of the same name, or return them from `get_config`.

    Example:

    >>> mk.encoders.ImageCNN(units=8)
    ImageCNN(units=8)
    >>> mk.Image(size=16, encoder=mk.encoders.ImageCNN(units=8))
    Image(size=(16, 16), encoder=ImageCNN(units=8))
    """

    def list_arguments(self) -> dict:
        """The constructor arguments that are not as by default, by name."""
        config = self.get_config()
        parameters = inspect.signature(type(self)).parameters
        values = {name: getattr(self, name, config.get(name)) for name in parameters}
        return {name: value for name, value in values.items() if _differs(value, parameters[name].default)}

    def __repr__(self):
        shown = ", ".join(f"{name}={_SHORT.repr(value)}" for name, value in self.list_arguments().items())
        return f"{type(self).__name__}({shown})"


def _differs(value, default):
    empty = (None, (), [], {})
    return repr(value) != repr(default) and not (value in empty and default in (*empty, inspect.Parameter.empty))
