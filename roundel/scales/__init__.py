"""Scales that are not powers of two: moves them, or measures what that costs."""

from roundel.scales.advisor import Advised, advise, given_nodes
from roundel.scales.area import layer_areas, requantized
from roundel.scales.report import advice_lines, advice_table, tables

__all__ = [
    "Advised",
    "advice_lines",
    "advice_table",
    "advise",
    "given_nodes",
    "layer_areas",
    "requantized",
    "tables",
]
