from mmkeras._public import expose
from mmkeras.encoders.audio.cnn import AudioCNN as AudioCNN
from mmkeras.encoders.audio.cnn2d import AudioCNN2D as AudioCNN2D
from mmkeras.encoders.audio.crnn import AudioCRNN as AudioCRNN
from mmkeras.encoders.audio.keras_hub import KerasHubAudio as KerasHubAudio
from mmkeras.encoders.audio.transformer import AudioTransformer as AudioTransformer
from mmkeras.encoders.base import Encoder as Encoder
from mmkeras.encoders.history.din import HistoryDIN as HistoryDIN
from mmkeras.encoders.history.gru import HistoryGRU as HistoryGRU
from mmkeras.encoders.history.transformer import HistoryTransformer as HistoryTransformer
from mmkeras.encoders.image.applications import Applications as Applications
from mmkeras.encoders.image.cnn import ImageCNN as ImageCNN
from mmkeras.encoders.image.keras_hub import KerasHubImage as KerasHubImage
from mmkeras.encoders.image.resnet import ImageResNet as ImageResNet
from mmkeras.encoders.image.vit import ImageViT as ImageViT
from mmkeras.encoders.needs import Needs as Needs
from mmkeras.encoders.tabular.mlp import TabularMLP as TabularMLP
from mmkeras.encoders.tabular.transformer import TabularTransformer as TabularTransformer
from mmkeras.encoders.text.cnn import TextCNN as TextCNN
from mmkeras.encoders.text.gru import TextGRU as TextGRU
from mmkeras.encoders.text.keras_hub import KerasHubText as KerasHubText
from mmkeras.encoders.text.lstm import TextLSTM as TextLSTM
from mmkeras.encoders.text.ngrams import TextNGrams as TextNGrams
from mmkeras.encoders.text.transformer import TextTransformer as TextTransformer
from mmkeras.encoders.video.cnn3d import VideoCNN3D as VideoCNN3D
from mmkeras.encoders.video.gru import VideoGRU as VideoGRU
from mmkeras.encoders.video.mean import VideoMean as VideoMean
from mmkeras.encoders.video.transformer import VideoTransformer as VideoTransformer

__all__, __dir__ = expose(globals())
