from mmkeras.preprocessing.base import Preprocessor as Preprocessor
from mmkeras.preprocessing.base import RowPreprocessor as RowPreprocessor
from mmkeras.preprocessing.image import ImagePreprocessor as ImagePreprocessor
from mmkeras.preprocessing.targets import encode_labels as encode_labels
from mmkeras.preprocessing.targets import learn_classes as learn_classes
from mmkeras.preprocessing.text import TextPreprocessor as TextPreprocessor
