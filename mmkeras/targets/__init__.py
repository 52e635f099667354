from mmkeras._public import expose
from mmkeras.targets.base import Target as Target
from mmkeras.targets.class_label import ClassTarget as ClassTarget
from mmkeras.targets.features import FeaturesTarget as FeaturesTarget
from mmkeras.targets.number import NumberTarget as NumberTarget
from mmkeras.targets.proposal import TargetProposal as TargetProposal
from mmkeras.targets.proposal import propose_target as propose_target
from mmkeras.targets.several import MultiTarget as MultiTarget
from mmkeras.targets.vector import VectorTarget as VectorTarget

__all__, __dir__ = expose(globals())
