from mmkeras.layers.attention import AttentionBlock as AttentionBlock
from mmkeras.layers.position import PositionEmbedding as PositionEmbedding
from mmkeras.layers.presence import MaskTokens as MaskTokens
from mmkeras.layers.presence import MissingEmbedding as MissingEmbedding
from mmkeras.layers.presence import ModalityDropout as ModalityDropout
from mmkeras.layers.presence import ZeroAbsent as ZeroAbsent
from mmkeras.layers.spectrogram import LogMelSpectrogram as LogMelSpectrogram
from mmkeras.layers.tabular import FeatureTokenizer as FeatureTokenizer
