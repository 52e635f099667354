from mmkeras.labelling.page import serve as serve
from mmkeras.labelling.queue import LabellingQueue as LabellingQueue
from mmkeras.labelling.queue import Predictions as Predictions
from mmkeras.labelling.queue import choose_rows as choose_rows
from mmkeras.labelling.queue import find_contradictions as find_contradictions
from mmkeras.labelling.queue import order_rows as order_rows
from mmkeras.labelling.queue import predict as predict
from mmkeras.labelling.table import LabelledTable as LabelledTable
