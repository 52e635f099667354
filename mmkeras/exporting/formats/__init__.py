"""Formats of artifacts, for `mk.export(formats=[...])`."""

from mmkeras._public import expose
from mmkeras.data.names import suggest
from mmkeras.exporting.formats.base import Format as Format
from mmkeras.exporting.formats.base import Run as Run
from mmkeras.exporting.formats.base import Workplace as Workplace
from mmkeras.exporting.formats.onnx import ONNX as ONNX
from mmkeras.exporting.formats.saved_model import SavedModel as SavedModel
from mmkeras.exporting.formats.tflite import TFLite as TFLite

DEFAULTS = {each.name: each for each in (SavedModel(), TFLite(), TFLite("dynamic_range"), ONNX())}


def get(identifier: str | Format) -> Format:
    """A format by its name, with default arguments, or as given.

    Raises:
        ValueError: for an unknown name.

    Example:

    >>> mk.formats.get("tflite_dynamic_range")
    TFLite(quantize='dynamic_range')
    """
    if isinstance(identifier, Format):
        return identifier
    if identifier not in DEFAULTS:
        raise ValueError(
            f"A format is one of {list(DEFAULTS)}, or an object from `mk.formats`.{suggest(identifier, DEFAULTS)} "
            f"Received: {identifier!r}"
        )
    return DEFAULTS[identifier]


__all__, __dir__ = expose(globals())
