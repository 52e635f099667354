"""Training on several devices and machines, by TensorFlow's own strategies, with the results of one device."""

from mmkeras.distribute.model import DistributedModel as DistributedModel
from mmkeras.distribute.strategies import enter as enter
from mmkeras.distribute.strategies import strategy as strategy
