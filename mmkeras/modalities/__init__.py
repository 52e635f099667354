from mmkeras._public import expose
from mmkeras.modalities.audio import Audio as Audio
from mmkeras.modalities.base import Modality as Modality
from mmkeras.modalities.history import History as History
from mmkeras.modalities.image import Image as Image
from mmkeras.modalities.tabular import Tabular as Tabular
from mmkeras.modalities.text import Text as Text
from mmkeras.modalities.video import Video as Video

__all__, __dir__ = expose(globals())
