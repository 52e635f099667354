"""One call from a table to a trained model and a report."""

from mmkeras.fitting.fit import fit as fit
from mmkeras.fitting.report import FitReport as FitReport
