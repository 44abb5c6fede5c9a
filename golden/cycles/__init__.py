"""How long a program takes, without RTL."""

from roundel.golden.cycles.boxes import ASKED_TABLES, candidate_cycles, location_cycles, scale_cycles
from roundel.golden.cycles.compute import UNWRITTEN
from roundel.golden.cycles.finds import Found, Passing, found_by, passing
from roundel.golden.cycles.model import predict
from roundel.golden.cycles.sorting import sorting_cycles, suppression_cycles

__all__ = [
    "ASKED_TABLES",
    "UNWRITTEN",
    "Found",
    "Passing",
    "candidate_cycles",
    "found_by",
    "location_cycles",
    "passing",
    "predict",
    "scale_cycles",
    "sorting_cycles",
    "suppression_cycles",
]
