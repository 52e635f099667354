"""mmkeras: from files of several kinds to one Keras model, and from that model to proven artifacts."""

from mmkeras import _quiet as _quiet  # isort: skip  first, so that nothing imports TensorFlow before it
from mmkeras import datasets as datasets
from mmkeras import distribute as distribute
from mmkeras import encoders as encoders
from mmkeras import finetuning as finetuning
from mmkeras import fusion as fusion
from mmkeras import heads as heads
from mmkeras import layers as layers
from mmkeras import losses as losses
from mmkeras import metrics as metrics
from mmkeras import pretraining as pretraining
from mmkeras import recipes as recipes
from mmkeras import targets as targets
from mmkeras import testing as testing
from mmkeras._public import expose
from mmkeras._version import __version__ as __version__
from mmkeras.backbone import Backbone as Backbone
from mmkeras.comparison import Comparison as Comparison
from mmkeras.comparison import compare as compare
from mmkeras.data import Source as Source
from mmkeras.data import add_functionals as add_functionals
from mmkeras.data import propose as propose
from mmkeras.data import read as read
from mmkeras.data import windows as windows
from mmkeras.exporting import ExportError as ExportError
from mmkeras.exporting import ParityError as ParityError
from mmkeras.exporting import Tolerance as Tolerance
from mmkeras.exporting import export as export
from mmkeras.exporting import formats as formats
from mmkeras.features import Features as Features
from mmkeras.fitting import FitReport as FitReport
from mmkeras.fitting import fit as fit
from mmkeras.modalities import Audio as Audio
from mmkeras.modalities import History as History
from mmkeras.modalities import Image as Image
from mmkeras.modalities import Modality as Modality
from mmkeras.modalities import Tabular as Tabular
from mmkeras.modalities import Text as Text
from mmkeras.modalities import Video as Video
from mmkeras.pipeline import Cache as Cache
from mmkeras.pipeline import DatasetOptions as DatasetOptions
from mmkeras.pipeline import Records as Records
from mmkeras.pipeline import check as check
from mmkeras.pipeline import clean as clean
from mmkeras.pipeline import prepare as prepare
from mmkeras.preprocessing import tokenizers as tokenizers
from mmkeras.retrieval import Retriever as Retriever
from mmkeras.row_model import RowModel as RowModel
from mmkeras.targets import propose_target as propose_target
from mmkeras.tasks import Classifier as Classifier
from mmkeras.tasks import MultiTask as MultiTask
from mmkeras.tasks import Regressor as Regressor
from mmkeras.tasks import Task as Task
from mmkeras.training import callbacks as callbacks
from mmkeras.training import schedules as schedules
from mmkeras.tuning import Tuning as Tuning
from mmkeras.tuning import tune as tune
from mmkeras.weights import move_weights as move_weights

_MODULES = (
    "callbacks",
    "datasets",
    "distribute",
    "encoders",
    "finetuning",
    "formats",
    "fusion",
    "heads",
    "layers",
    "losses",
    "metrics",
    "pretraining",
    "recipes",
    "schedules",
    "targets",
    "testing",
    "tokenizers",
)
__all__, __dir__ = expose(globals(), _MODULES)
