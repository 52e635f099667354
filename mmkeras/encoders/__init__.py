from mmkeras.encoders.audio import AudioCNN as AudioCNN
from mmkeras.encoders.base import Encoder as Encoder
from mmkeras.encoders.history import HistoryGRU as HistoryGRU
from mmkeras.encoders.image import ImageCNN as ImageCNN
from mmkeras.encoders.tabular import TabularMLP as TabularMLP
from mmkeras.encoders.text import TextGRU as TextGRU
from mmkeras.encoders.video import VideoGRU as VideoGRU
