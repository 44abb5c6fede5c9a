"""What became of a budget: lines, the front as a table, and as a picture."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roundel.compression.budget import Point
from roundel.ui import COLOURS, Grid, figure

FRONT = "front.png"
FRONT_NOTE = (
    "The corners of the front that a Lagrange multiplier finds, from the least cost to the greatest. The cost is the "
    "sum over the layers, as part of that with weights of 8 bits on the same engine; the loss is the sum of what each "
    "layer alone does to the network's results, as a ratio of signal to noise (docs/budget.md)."
)

Values = Mapping[str, Any]


def budget_lines(values: Values) -> list[str]:
    """Return what a user should know first."""
    cost, asked = values["budget"]["cost"], values["budget"]["ratio"]
    counts = sorted(Counter(values["bits"].values()).items(), reverse=True)
    layers = ", ".join(f"{count} of {bits} bits" for bits, count in counts)
    point, what = Point(**values["chosen"]), "Bits and patterns" if _has_patterns(values) else "Bits"
    patterns = f"patterns keep {point.kept:.0%} of the weights; " if _has_patterns(values) else ""
    lines = [
        f"Budget {cost}={asked:g} on {values['engine']}: {values['ratio']:.4f} of {values['whole']:,} "
        f"{_unit(cost)} with weights of 8 bits; layers: {layers}; {point.bits:.2f} bits a weight in the mean; "
        f"{patterns}{point.db:.1f} dB predicted.",
        f"{what} reach {cost}={values['least']:.4f} at the least.",
    ]
    if values["ratio"] > asked:
        lines.append(f"The budget is not kept: the program takes {values['ratio']:.4f}, not {asked:g}.")
    return lines


def budget_grid(values: Values) -> Grid:
    """Return the front as a table, with what was chosen."""
    points = [(Point(**point), "") for point in values["front"]]
    points.append((Point(**values["chosen"]), "chosen"))
    points.sort(key=lambda item: (item[0].ratio, item[1]))
    heads, many = [values["budget"]["cost"], "predicted, dB", "bits a weight"], _has_patterns(values)
    rows = []
    for point, mark in points:
        kept = [f"{point.kept:.0%}"] if many else []
        rows.append([f"{point.ratio:.4f}", f"{point.db:.1f}", f"{point.bits:.2f}", *kept, mark])
    return Grid("Front of the budget", (*heads, *(["weights kept"] if many else []), ""), rows)


def _has_patterns(values: Values) -> bool:
    """Whether layers could have patterns."""
    return any(Point(**point).kept < 1 for point in values["front"])


def budget_plot(values: Values, path: Path) -> None:
    """Draw the front, and what was chosen."""
    points = [Point(**point) for point in values["front"]]
    chosen, cost = Point(**values["chosen"]), values["budget"]["cost"]
    with figure(path, 6.4, 4.0) as drawing:
        axes = drawing.add_subplot()
        axes.plot([p.ratio for p in points], [p.db for p in points], "o-", color=COLOURS[0], label="front")
        axes.plot([chosen.ratio], [chosen.db], "D", color=COLOURS[1], markersize=9, label="chosen")
        axes.axvline(values["budget"]["ratio"], color=COLOURS[5], linestyle=":", label="budget")
        axes.set_xlabel(f"{cost}, as part of those with weights of 8 bits")
        axes.set_ylabel("signal to noise, predicted, dB")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)


def _unit(cost: str) -> str:
    return {"cycles": "cycles", "bytes": "bytes", "energy": "pJ in array, decoder and requantizers"}[cost]
