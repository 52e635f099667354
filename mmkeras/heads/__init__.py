from mmkeras.heads.attention import AttentionHead as AttentionHead
from mmkeras.heads.dense import DenseHead as DenseHead
