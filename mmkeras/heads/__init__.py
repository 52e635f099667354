from mmkeras._public import expose
from mmkeras.heads.attention import AttentionHead as AttentionHead
from mmkeras.heads.base import Head as Head
from mmkeras.heads.dense import DenseHead as DenseHead

__all__, __dir__ = expose(globals())
