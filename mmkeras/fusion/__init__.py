"""Fusions by level. Feature level: Concatenation, Product. Model level: CrossAttention."""

from mmkeras.fusion.base import Fusion as Fusion
from mmkeras.fusion.base import VectorFusion as VectorFusion
from mmkeras.fusion.concatenation import Concatenation as Concatenation
from mmkeras.fusion.cross_attention import CrossAttention as CrossAttention
from mmkeras.fusion.product import Product as Product
