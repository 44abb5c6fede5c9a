"""Weights alone to masks, steps and codes."""

from roundel.golden.opq.laplace import floor_bits, laplace_levels
from roundel.golden.opq.params import OpqParams, Weighting
from roundel.golden.opq.pattern_loss import DENSE
from roundel.golden.opq.patterns import ChannelPattern, pattern_name
from roundel.golden.opq.plan import LayerPlan, opq, sizes

__all__ = [
    "DENSE",
    "ChannelPattern",
    "LayerPlan",
    "OpqParams",
    "Weighting",
    "floor_bits",
    "laplace_levels",
    "opq",
    "pattern_name",
    "sizes",
]
