"""Training on several devices and machines, by TensorFlow's own strategies, with the results of one device."""

from mmkeras._public import expose
from mmkeras.distribute.cluster import is_chief as is_chief
from mmkeras.distribute.strategies import enter as enter
from mmkeras.distribute.strategies import get as get
from mmkeras.distribute.strategies import require_one_clock as require_one_clock
from mmkeras.distribute.strategies import strategy as strategy

__all__, __dir__ = expose(globals())
