"""mmkeras: from files of several kinds to one Keras model, and from that model to proven artifacts."""

from mmkeras import _quiet as _quiet  # isort: skip  first, so that nothing imports TensorFlow before it
from mmkeras import datasets as datasets
from mmkeras import encoders as encoders
from mmkeras import fusion as fusion
from mmkeras import heads as heads
from mmkeras import layers as layers
from mmkeras import testing as testing
from mmkeras.data import Records as Records
from mmkeras.data import Source as Source
from mmkeras.data import add_functionals as add_functionals
from mmkeras.data import clean as clean
from mmkeras.data import prepare as prepare
from mmkeras.data import propose as propose
from mmkeras.data import read as read
from mmkeras.data import windows as windows
from mmkeras.exporting import ExportError as ExportError
from mmkeras.exporting import ParityError as ParityError
from mmkeras.exporting import Tolerance as Tolerance
from mmkeras.exporting import export as export
from mmkeras.features import Features as Features
from mmkeras.modalities import Audio as Audio
from mmkeras.modalities import History as History
from mmkeras.modalities import Image as Image
from mmkeras.modalities import Modality as Modality
from mmkeras.modalities import Tabular as Tabular
from mmkeras.modalities import Text as Text
from mmkeras.modalities import Video as Video
from mmkeras.tasks import Classifier as Classifier
from mmkeras.tasks import Task as Task
