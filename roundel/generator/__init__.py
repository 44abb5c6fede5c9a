"""Verilog of a unit and the files of other tools."""

from roundel.generator.settings import describe_units, find_unit, merged, parse_pairs, parse_settings, unit_params
from roundel.generator.unit import Generated, generate

__all__ = [
    "Generated",
    "describe_units",
    "find_unit",
    "generate",
    "merged",
    "parse_pairs",
    "parse_settings",
    "unit_params",
]
