from mmkeras.data.pipeline import build_dataset as build_dataset
from mmkeras.data.report import Problem as Problem
from mmkeras.data.report import Report as Report
from mmkeras.data.sources import Source as Source
from mmkeras.data.sources import read as read
