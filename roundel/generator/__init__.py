"""`roundel generate`: Verilog and the files of other tools."""

from roundel.generator.settings import describe_units, find_unit, parse_settings

__all__ = [
    "describe_units",
    "find_unit",
    "parse_settings",
]
