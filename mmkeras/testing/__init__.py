"""Checks for encoders, fusions, tasks and artifacts: mmkeras's own tests use them, and yours can.

Each raises `AssertionError` with the property that does not hold.
"""

from mmkeras._public import expose
from mmkeras.testing.encoders import check_encoder as check_encoder
from mmkeras.testing.fusions import check_fusion as check_fusion
from mmkeras.testing.fusions import make_features as make_features
from mmkeras.testing.preprocessors import check_preprocessor as check_preprocessor
from mmkeras.testing.reload import check_reload as check_reload

__all__, __dir__ = expose(globals())
