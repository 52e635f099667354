"""How good the answers of a target are: metrics, errors, confusions, calibration."""

from mmkeras._public import expose
from mmkeras.targets.measures.base import Measures as Measures
from mmkeras.targets.measures.classes import ClassMeasures as ClassMeasures
from mmkeras.targets.measures.numbers import NumberMeasures as NumberMeasures
from mmkeras.targets.measures.several import SeveralMeasures as SeveralMeasures

__all__, __dir__ = expose(globals())
