"""Training of a backbone on rows without labels."""

from mmkeras.pretraining.base import Measured as Measured
from mmkeras.pretraining.base import Objective as Objective
from mmkeras.pretraining.contrastive import Contrastive as Contrastive
from mmkeras.pretraining.pretrainer import Pretrainer as Pretrainer
from mmkeras.pretraining.two_views import TwoViews as TwoViews
