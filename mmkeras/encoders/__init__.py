from mmkeras.encoders.base import Encoder as Encoder
from mmkeras.encoders.image import CNN as CNN
from mmkeras.encoders.text import GRU as GRU
