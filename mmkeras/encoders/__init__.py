from mmkeras.encoders.audio.cnn import AudioCNN as AudioCNN
from mmkeras.encoders.base import Encoder as Encoder
from mmkeras.encoders.history.gru import HistoryGRU as HistoryGRU
from mmkeras.encoders.image.cnn import ImageCNN as ImageCNN
from mmkeras.encoders.needs import Needs as Needs
from mmkeras.encoders.tabular.mlp import TabularMLP as TabularMLP
from mmkeras.encoders.text.gru import TextGRU as TextGRU
from mmkeras.encoders.video.gru import VideoGRU as VideoGRU
