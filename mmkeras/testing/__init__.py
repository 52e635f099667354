"""Checks for parts of models: mmkeras's own tests use them, and yours can.

Each raises `AssertionError` with the property that does not hold.
"""

from mmkeras._public import expose
from mmkeras.testing.encoders import check_encoder as check_encoder
from mmkeras.testing.formats import check_format as check_format
from mmkeras.testing.fusions import check_fusion as check_fusion
from mmkeras.testing.fusions import make_features as make_features
from mmkeras.testing.heads import check_head as check_head
from mmkeras.testing.objectives import check_objective as check_objective
from mmkeras.testing.preprocessors import check_preprocessor as check_preprocessor
from mmkeras.testing.reload import check_reload as check_reload
from mmkeras.testing.targets import check_target as check_target
from mmkeras.testing.tasks import check_task as check_task

__all__, __dir__ = expose(globals())
