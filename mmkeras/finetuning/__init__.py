"""Training of what was trained elsewhere before."""

from mmkeras._public import expose
from mmkeras.finetuning.cache import CachedTask as CachedTask
from mmkeras.finetuning.layers import add_lora as add_lora
from mmkeras.finetuning.layers import decay_by_depth as decay_by_depth
from mmkeras.finetuning.layers import freeze as freeze
from mmkeras.finetuning.layers import list_blocks as list_blocks
from mmkeras.finetuning.layers import unfreeze as unfreeze
from mmkeras.finetuning.unfreezing import GradualUnfreezing as GradualUnfreezing
from mmkeras.finetuning.unfreezing import LinearProbing as LinearProbing
from mmkeras.training import by_part as by_part

__all__, __dir__ = expose(globals())
