"""Fusions by level. Feature level: Concatenation, Product. Model level: CrossAttention. Decision level: MeanLogits."""

from mmkeras.fusion.base import Fusion as Fusion
from mmkeras.fusion.decision.base import DecisionFusion as DecisionFusion
from mmkeras.fusion.decision.mean_logits import MeanLogits as MeanLogits
from mmkeras.fusion.feature.base import VectorFusion as VectorFusion
from mmkeras.fusion.feature.concatenation import Concatenation as Concatenation
from mmkeras.fusion.feature.product import Product as Product
from mmkeras.fusion.model.cross_attention import CrossAttention as CrossAttention
from mmkeras.fusion.names import get as get
