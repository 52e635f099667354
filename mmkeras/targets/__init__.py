from mmkeras.targets.base import Target as Target
from mmkeras.targets.class_label import ClassTarget as ClassTarget
from mmkeras.targets.number import NumberTarget as NumberTarget
from mmkeras.targets.several import MultiTarget as MultiTarget
