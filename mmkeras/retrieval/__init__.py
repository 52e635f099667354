"""Rows found by what another modality says."""

from mmkeras._public import expose
from mmkeras.retrieval.retriever import Retriever as Retriever
from mmkeras.retrieval.tower import Tower as Tower

__all__, __dir__ = expose(globals())
