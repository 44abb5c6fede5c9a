"""What the sections of a report share: the FPGA table, names of files, numbers."""

from collections.abc import Sequence
from typing import Any

from roundel.markdown import markdown_table
from roundel.ratios import Row

_RESOURCES = {"DP16KD": ("bram", "block RAM"), "MULT18X18D": ("dsp", "multipliers")}


def fpga_lines(rows: Sequence[Row]) -> list[str]:
    """Lines of Markdown for the rows that were placed on an FPGA."""
    placed = [row for row in rows if "lut" in row]
    if not placed:
        return []
    keys = ("lut", "ff", "dsp", "bram")
    cells = [[row["scheme"], *(number(row[key]) for key in keys), frequency(row)] for row in placed]
    return [
        "After place and route on ECP5:",
        "",
        *markdown_table(("scheme", "LUT4", "FF", "DSP", "BRAM", "Fmax MHz"), cells),
        "",
    ]


def frequency(row: Row) -> str:
    """Fmax in MHz, or of what the design needs more than the FPGA has."""
    excess = row.get("fpga_excess")
    if not excess:
        return number(row["fmax_mhz"])
    name, held = next(iter(excess.items()))
    column, words = _RESOURCES.get(name, ("lut", "look-up tables"))
    return f"does not fit ({row[column]:,} of {held:,} {words})"


def number(value: Any) -> str:
    """A float with one decimal, anything else as it is."""
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def slug(name: str) -> str:
    """A name that is good for a file."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)
