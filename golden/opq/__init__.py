"""Weights alone to masks, steps and codes."""

from roundel.golden.opq.laplace import floor_bits, laplace_levels
from roundel.golden.opq.params import OpqParams, Weighting
from roundel.golden.opq.patterns import ChannelPattern
from roundel.golden.opq.plan import LayerPlan, opq, sizes

__all__ = [
    "ChannelPattern",
    "LayerPlan",
    "OpqParams",
    "Weighting",
    "floor_bits",
    "laplace_levels",
    "opq",
    "sizes",
]
