"""Liberty to cells; no tool runs here."""

from roundel.synth.cells.boolean import BoolFunction, invert, variable
from roundel.synth.cells.cell import FALL, RISE, Arc, Cell, InternalPower, Kind, Pin, Sense
from roundel.synth.cells.joining import join_libraries
from roundel.synth.cells.liberty import read_text
from roundel.synth.cells.library import Library, Match
from roundel.synth.cells.reader import read_library
from roundel.synth.cells.reference import REFERENCE
from roundel.synth.cells.requirements import mappable_library
from roundel.synth.cells.table import Pair

__all__ = [
    "FALL",
    "REFERENCE",
    "RISE",
    "Arc",
    "BoolFunction",
    "Cell",
    "InternalPower",
    "Kind",
    "Library",
    "Match",
    "Pair",
    "Pin",
    "Sense",
    "invert",
    "join_libraries",
    "mappable_library",
    "read_library",
    "read_text",
    "variable",
]
