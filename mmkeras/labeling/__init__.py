from mmkeras._public import expose
from mmkeras.labeling.page import import_gradio as import_gradio
from mmkeras.labeling.page import serve as serve
from mmkeras.labeling.queue import LabelingQueue as LabelingQueue
from mmkeras.labeling.queue import Predictions as Predictions
from mmkeras.labeling.queue import choose_rows as choose_rows
from mmkeras.labeling.queue import find_contradictions as find_contradictions
from mmkeras.labeling.queue import order_rows as order_rows
from mmkeras.labeling.queue import predict as predict
from mmkeras.labeling.table import LabeledTable as LabeledTable

__all__, __dir__ = expose(globals())
