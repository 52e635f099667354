from mmkeras.heads.dense import DenseHead as DenseHead
