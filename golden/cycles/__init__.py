"""How long a program takes, without RTL."""

from roundel.golden.cycles.compute import UNWRITTEN
from roundel.golden.cycles.model import predict
from roundel.golden.cycles.sorting import sorting_cycles

__all__ = [
    "UNWRITTEN",
    "predict",
    "sorting_cycles",
]
