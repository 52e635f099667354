from mmkeras._public import expose
from mmkeras.tasks.base import Task as Task
from mmkeras.tasks.base import find_task as find_task
from mmkeras.tasks.classifier import Classifier as Classifier
from mmkeras.tasks.multi_task import MultiTask as MultiTask
from mmkeras.tasks.regressor import Regressor as Regressor

__all__, __dir__ = expose(globals())
