"""What all models that train a backbone have in common."""

from mmkeras._public import expose
from mmkeras.training.model import TrainedModel as TrainedModel
from mmkeras.training.optimizers import by_part as by_part

__all__, __dir__ = expose(globals())
