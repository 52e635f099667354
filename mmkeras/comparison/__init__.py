"""Fusions and single modalities, trained alike on the same rows, and compared."""

from mmkeras._public import expose
from mmkeras.comparison.compare import Comparison as Comparison
from mmkeras.comparison.compare import compare as compare

__all__, __dir__ = expose(globals())
