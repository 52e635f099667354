from mmkeras._public import expose
from mmkeras.data.acoustics import add_functionals as add_functionals
from mmkeras.data.columns import Proposal as Proposal
from mmkeras.data.columns import format_proposals as format_proposals
from mmkeras.data.columns import plan_modalities as plan_modalities
from mmkeras.data.columns import propose as propose
from mmkeras.data.decoders import MediaError as MediaError
from mmkeras.data.report import Problem as Problem
from mmkeras.data.report import Report as Report
from mmkeras.data.sources import Source as Source
from mmkeras.data.sources import read as read
from mmkeras.data.windows import windows as windows

__all__, __dir__ = expose(globals())
