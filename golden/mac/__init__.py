"""The arrays outside the engine: parameters, and matrices to beats and back."""

from roundel.golden.mac.params import MacParams, Structure
from roundel.golden.mac.sparse import SparseMacParams
from roundel.golden.mac.tiling import Schedule, concatenate, interpret, schedule, tiles, weight_beats

__all__ = [
    "MacParams",
    "Schedule",
    "SparseMacParams",
    "Structure",
    "concatenate",
    "interpret",
    "schedule",
    "tiles",
    "weight_beats",
]
