from mmkeras._public import expose
from mmkeras.exporting.child import ExportError as ExportError
from mmkeras.exporting.export import export as export
from mmkeras.exporting.parity import Artifact as Artifact
from mmkeras.exporting.parity import ExportReport as ExportReport
from mmkeras.exporting.parity import ParityError as ParityError
from mmkeras.exporting.parity import Tolerance as Tolerance

__all__, __dir__ = expose(globals())
