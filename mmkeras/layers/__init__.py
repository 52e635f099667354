from mmkeras._public import expose
from mmkeras.layers.attention import AttentionBlock as AttentionBlock
from mmkeras.layers.audio_cropping import AudioCropping as AudioCropping
from mmkeras.layers.motion import FrameMotion as FrameMotion
from mmkeras.layers.normalization import BatchNormalization as BatchNormalization
from mmkeras.layers.pooling import AttentionPooling as AttentionPooling
from mmkeras.layers.position import PositionEmbedding as PositionEmbedding
from mmkeras.layers.presence import MaskTokens as MaskTokens
from mmkeras.layers.presence import MissingEmbedding as MissingEmbedding
from mmkeras.layers.presence import ModalityDropout as ModalityDropout
from mmkeras.layers.presence import ZeroAbsent as ZeroAbsent
from mmkeras.layers.rotary import RotaryAttention as RotaryAttention
from mmkeras.layers.spectrogram import LogMelSpectrogram as LogMelSpectrogram
from mmkeras.layers.spectrogram_masking import SpectrogramMasking as SpectrogramMasking
from mmkeras.layers.spectrogram_rolling import SpectrogramRolling as SpectrogramRolling
from mmkeras.layers.tabular import FeatureTokenizer as FeatureTokenizer
from mmkeras.layers.whisper import WhisperSpectrogram as WhisperSpectrogram

__all__, __dir__ = expose(globals())
