"""Text to pieces of a vocabulary, in the graph."""

from mmkeras._public import expose
from mmkeras.preprocessing.tokenizers.base import RESERVED_TOKENS as RESERVED_TOKENS
from mmkeras.preprocessing.tokenizers.base import Tokenizer as Tokenizer
from mmkeras.preprocessing.tokenizers.byte_pair import BytePair as BytePair
from mmkeras.preprocessing.tokenizers.n_grams import NGrams as NGrams
from mmkeras.preprocessing.tokenizers.offsets import Offsets as Offsets
from mmkeras.preprocessing.tokenizers.sentence_piece import SentencePiece as SentencePiece
from mmkeras.preprocessing.tokenizers.sentence_piece import parse_model as parse_model
from mmkeras.preprocessing.tokenizers.word_piece import WordPiece as WordPiece

__all__, __dir__ = expose(globals())
