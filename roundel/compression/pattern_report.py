"""What patterns of channels keep and bring: lines, and a table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from roundel.golden.opq import pattern_name
from roundel.ui import Grid

Rows = Sequence[Mapping[str, Any]]
NOTE = (
    "Energy is the sum of squares that a layer's pattern keeps, as part of that of all its weights: with channels in "
    "the order that was found, and in that of the file. Steps are those of an image's tiles, blocks of zeros left out "
    "(docs/opq.md)."
)


def pattern_lines(rows: Rows, engine: str | None) -> list[str]:
    """Return what a user should know first.

    Parameters
    ----------
    rows
        What `PatternFigures.as_dict` gives of each layer.
    engine
        Name of the engine whose steps are counted; None if none was asked for.
    """
    counts = Counter(row["kept"] for row in rows)
    layers = ", ".join(f"{counts[kept]} {pattern_name(kept)}" for kept in sorted(counts, reverse=True))
    total = sum(row["total"] for row in rows) or 1.0
    energy, unordered = (sum(row[name] * row["total"] for row in rows) / total for name in ("energy", "unordered"))
    lines = [
        f"Patterns of channels, layers: {layers}; {energy:.1%} of the energy of their weights kept, {unordered:.1%} in "
        "the file's order of channels."
    ]
    counted = [row for row in rows if row["steps"] is not None]
    if counted:
        steps, dense, further = (sum(row[name] for row in counted) for name in ("steps", "dense", "further"))
        beyond = f"; {further:,} of them for what breaks a pattern or exceeds the usual digits" if further else ""
        lines.append(f"Steps of these layers on {engine}: {steps:,} in place of {dense:,}{beyond}.")
    return lines


def pattern_grid(rows: Rows) -> Grid:
    """Return the layers as a table.

    Parameters
    ----------
    rows
        What `PatternFigures.as_dict` gives of each layer.
    """
    heads = ("layer", "weights", "pattern", "energy kept", "in the file's order", "steps", "dense", "breaking")
    cells = [
        [
            row["layer"],
            f"{row['weights']:,}",
            pattern_name(row["kept"]),
            f"{row['energy']:.1%}",
            f"{row['unordered']:.1%}",
            *("" if row[name] is None else f"{row[name]:,}" for name in ("steps", "dense", "further")),
        ]
        for row in rows
    ]
    return Grid("Patterns of channels", heads, cells)
