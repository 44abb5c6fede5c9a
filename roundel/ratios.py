"""Ratios between the rows of a report: the only place that divides them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

REQUANT_FIGURES = {
    "area, operator": "area_um2",
    "area, logic alone": "area_logic_um2",
    "area, with input register": "area_with_input_um2",
    "energy, operator": "energy_pj_per_op",
    "energy, logic alone": "energy_logic_pj_per_op",
    "energy, with input register": "energy_with_input_pj_per_op",
}
"""What is compared between requantizers: the operator is its logic and its output register."""


def ratios(rows: Sequence[Row], scheme: str, figures: Mapping[str, str] = REQUANT_FIGURES) -> list[dict[str, Any]]:
    """How many times more every other scheme needs than `scheme`, on each cell library.

    Returns
    -------
    One row per library, baseline and figure: `cells`, `baseline`, `figure`, `ratio` (baseline / `scheme`).
    """
    found = []
    for own in (row for row in rows if row["scheme"] == scheme):
        for other in rows:
            if other["cells"] != own["cells"] or other is own:
                continue
            for title, key in figures.items():
                if own.get(key) and other.get(key) is not None:
                    found.append(
                        {
                            "cells": own["cells"],
                            "baseline": other["scheme"],
                            "figure": title,
                            "scheme": scheme,
                            "ratio": other[key] / own[key],
                        }
                    )
    return found


def libraries(rows: Iterable[Row]) -> list[str]:
    """The cell libraries of `rows`, in order of appearance."""
    return list(dict.fromkeys(row["cells"] for row in rows))
