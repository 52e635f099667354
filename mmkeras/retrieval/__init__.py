"""Rows found by what another modality says."""

from mmkeras.retrieval.retriever import Retriever as Retriever
from mmkeras.retrieval.tower import Tower as Tower
