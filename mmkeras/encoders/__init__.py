from mmkeras.encoders.audio import AudioCNN as AudioCNN
from mmkeras.encoders.base import Encoder as Encoder
from mmkeras.encoders.history import HistoryGRU as HistoryGRU
from mmkeras.encoders.image import CNN as CNN
from mmkeras.encoders.tabular import MLP as MLP
from mmkeras.encoders.text import GRU as GRU
from mmkeras.encoders.video import FrameGRU as FrameGRU
