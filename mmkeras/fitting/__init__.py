"""One call from a table to a trained model and a report."""

from mmkeras._public import expose
from mmkeras.fitting.fit import fit as fit
from mmkeras.fitting.report import FitReport as FitReport
from mmkeras.fitting.run_file import read_run as read_run
from mmkeras.fitting.run_file import write_run as write_run

__all__, __dir__ = expose(globals())
