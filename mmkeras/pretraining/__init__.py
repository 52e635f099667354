"""Training of a backbone on rows without labels."""

from mmkeras._public import expose
from mmkeras.pretraining.base import Measured as Measured
from mmkeras.pretraining.base import Objective as Objective
from mmkeras.pretraining.causal_language import CausalLanguage as CausalLanguage
from mmkeras.pretraining.contrastive import Contrastive as Contrastive
from mmkeras.pretraining.masked_language import MaskedLanguage as MaskedLanguage
from mmkeras.pretraining.masked_modality import MaskedModality as MaskedModality
from mmkeras.pretraining.masked_patches import MaskedPatches as MaskedPatches
from mmkeras.pretraining.matching import Matching as Matching
from mmkeras.pretraining.pretrainer import Pretrainer as Pretrainer
from mmkeras.pretraining.two_views import TwoViews as TwoViews

__all__, __dir__ = expose(globals())
