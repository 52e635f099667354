"""Fusions by level: of the features, of the model, of the decisions."""

from mmkeras._public import expose
from mmkeras.fusion.base import Fusion as Fusion
from mmkeras.fusion.decision.auto import Auto as Auto
from mmkeras.fusion.decision.base import DecisionFusion as DecisionFusion
from mmkeras.fusion.decision.majority_vote import MajorityVote as MajorityVote
from mmkeras.fusion.decision.mean_logits import MeanLogits as MeanLogits
from mmkeras.fusion.decision.product_of_experts import ProductOfExperts as ProductOfExperts
from mmkeras.fusion.decision.stacking import Stacking as Stacking
from mmkeras.fusion.decision.weighted_logits import WeightedLogits as WeightedLogits
from mmkeras.fusion.feature.base import VectorFusion as VectorFusion
from mmkeras.fusion.feature.concatenation import Concatenation as Concatenation
from mmkeras.fusion.feature.factorized_bilinear import FactorizedBilinear as FactorizedBilinear
from mmkeras.fusion.feature.film import FiLM as FiLM
from mmkeras.fusion.feature.gated import Gated as Gated
from mmkeras.fusion.feature.low_rank_tensor import LowRankTensor as LowRankTensor
from mmkeras.fusion.feature.modality_attention import ModalityAttention as ModalityAttention
from mmkeras.fusion.feature.product import Product as Product
from mmkeras.fusion.feature.sum import Sum as Sum
from mmkeras.fusion.feature.tensor import Tensor as Tensor
from mmkeras.fusion.model.base import TokenFusion as TokenFusion
from mmkeras.fusion.model.bottleneck import Bottleneck as Bottleneck
from mmkeras.fusion.model.cross_attention import CrossAttention as CrossAttention
from mmkeras.fusion.model.joint_transformer import JointTransformer as JointTransformer
from mmkeras.fusion.model.perceiver import Perceiver as Perceiver
from mmkeras.fusion.names import get as get
from mmkeras.fusion.names import list_fusions as list_fusions

__all__, __dir__ = expose(globals())
