"""Verilog of a unit and the files of other tools."""

from roundel.generator.settings import describe_units, find_unit, parse_settings
from roundel.generator.unit import Generated, generate

__all__ = [
    "Generated",
    "describe_units",
    "find_unit",
    "generate",
    "parse_settings",
]
