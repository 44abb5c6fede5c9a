"""Bits and patterns for each layer under a budget of cycles, energy or bytes: costs, sensitivity, and the choice."""

from roundel.compression.budget.allotment import Allotment, Point, Target, allot
from roundel.compression.budget.params import Budget, Cost, Sensitivity, parse_budget
from roundel.compression.budget.variants import LayerVariant, LayerVariants

__all__ = [
    "Allotment",
    "Budget",
    "Cost",
    "LayerVariant",
    "LayerVariants",
    "Point",
    "Sensitivity",
    "Target",
    "allot",
    "parse_budget",
]
