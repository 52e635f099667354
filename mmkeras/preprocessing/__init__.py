from mmkeras._public import expose
from mmkeras.preprocessing.audio import AudioPreprocessor as AudioPreprocessor
from mmkeras.preprocessing.base import Preprocessor as Preprocessor
from mmkeras.preprocessing.base import RowPreprocessor as RowPreprocessor
from mmkeras.preprocessing.base import to_strings as to_strings
from mmkeras.preprocessing.history import HistoryPreprocessor as HistoryPreprocessor
from mmkeras.preprocessing.image import ImagePreprocessor as ImagePreprocessor
from mmkeras.preprocessing.native_audio import decode_audio_native as decode_audio_native
from mmkeras.preprocessing.places import Places as Places
from mmkeras.preprocessing.tabular import TabularPreprocessor as TabularPreprocessor
from mmkeras.preprocessing.tensorflow_io import SpecAugment as SpecAugment
from mmkeras.preprocessing.tensorflow_io import can_decode_natively as can_decode_natively
from mmkeras.preprocessing.tensorflow_io import fade as fade
from mmkeras.preprocessing.tensorflow_io import freq_mask as freq_mask
from mmkeras.preprocessing.tensorflow_io import time_mask as time_mask
from mmkeras.preprocessing.text import TextPreprocessor as TextPreprocessor
from mmkeras.preprocessing.tokenizers import BytePair as BytePair
from mmkeras.preprocessing.tokenizers import NGrams as NGrams
from mmkeras.preprocessing.tokenizers import SentencePiece as SentencePiece
from mmkeras.preprocessing.tokenizers import Tokenizer as Tokenizer
from mmkeras.preprocessing.tokenizers import WordPiece as WordPiece
from mmkeras.preprocessing.video import VideoPreprocessor as VideoPreprocessor

__all__, __dir__ = expose(globals())
