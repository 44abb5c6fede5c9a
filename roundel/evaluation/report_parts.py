"""Parts that the sections of a report share: the FPGA table, names of files, numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from roundel.ui import markdown_table

Row = Mapping[str, Any]

REQUANT_FIGURES = {
    "area, operator": "area_um2",
    "area, logic alone": "area_logic_um2",
    "area, with input register": "area_with_input_um2",
    "energy, operator": "energy_pj_per_op",
    "energy, logic alone": "energy_logic_pj_per_op",
    "energy, with input register": "energy_with_input_pj_per_op",
}
"""Figures that are compared between requantizers: the operator is its logic and its output register."""


def ratios(rows: Sequence[Row], scheme: str, figures: Mapping[str, str] = REQUANT_FIGURES) -> list[dict[str, Any]]:
    """How many times more every other scheme needs than `scheme`, on each cell library.

    Returns
    -------
    One row per library, baseline and figure: `cells`, `baseline`, `figure`, `ratio` (baseline / `scheme`).
    """
    comparisons = []
    for own in (row for row in rows if row["scheme"] == scheme):
        for other in rows:
            if other["cells"] != own["cells"] or other is own:
                continue
            for title, key in figures.items():
                if own.get(key) and other.get(key) is not None:
                    comparisons.append(
                        {
                            "cells": own["cells"],
                            "baseline": other["scheme"],
                            "figure": title,
                            "scheme": scheme,
                            "ratio": other[key] / own[key],
                        }
                    )
    return comparisons


def ratio_cells(
    rows: Sequence[Row], scheme: str, figures: Mapping[str, str] = REQUANT_FIGURES, form: str = ".2f"
) -> list[list[str]]:
    """Lines of a table of `ratios`, a baseline and its figures each; empty where there is none."""
    by_place = {(item["baseline"], item["figure"]): item["ratio"] for item in ratios(rows, scheme, figures)}
    places = [[(name, title) for title in figures] for name in dict.fromkeys(name for name, _ in by_place)]
    return [[line[0][0], *(format(by_place[at], form) if at in by_place else "" for at in line)] for line in places]


def libraries(rows: Iterable[Row]) -> list[str]:
    """Return the cell libraries of `rows`, in order of appearance."""
    return list(dict.fromkeys(row["cells"] for row in rows))


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
    """Return a float with one decimal, anything else as it is."""
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def slug(name: str) -> str:
    """Return a name that is good for a file."""
    return "".join(letter if letter.isalnum() else "_" for letter in name)
