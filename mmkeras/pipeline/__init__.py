from mmkeras._public import expose
from mmkeras.pipeline.batches import Cache as Cache
from mmkeras.pipeline.batches import DatasetOptions as DatasetOptions
from mmkeras.pipeline.batches import build_dataset as build_dataset
from mmkeras.pipeline.batches import load_cells as load_cells
from mmkeras.pipeline.batches import make_dataset as make_dataset
from mmkeras.pipeline.batches import pack_cells as pack_cells
from mmkeras.pipeline.check import check as check
from mmkeras.pipeline.check import check_rows as check_rows
from mmkeras.pipeline.check import keep_usable as keep_usable
from mmkeras.pipeline.cleaning import clean as clean
from mmkeras.pipeline.mixup import mix_batches as mix_batches
from mmkeras.pipeline.mixup import read_mixed as read_mixed
from mmkeras.pipeline.records import Records as Records
from mmkeras.pipeline.records import prepare as prepare

__all__, __dir__ = expose(globals())
