"""Write the tables of docs/activations.md: `python docs/make/activations.py [FOLDER]`.

The table of errors takes half a minute. FOLDER holds what `roundel compare activation` wrote, the reference
and other libraries in it; without FOLDER the table of circuits stays as it is. Nothing between the markers is typed.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
from figures import replace as put
from figures import short

from roundel.evaluation import libraries
from roundel.golden.activation import ActivationParams, best_table, named
from roundel.golden.formats import Format
from roundel.ui import markdown_table

PAGE = Path(__file__).resolve().parents[1] / Path(__file__).with_suffix(".md").name
RANGES = (4, 8, 16, 32)
UNIT = {"sigmoid": 8, "hard_sigmoid": 8, "tanh": 7}
"""Fraction bits of outputs that reach 1: it counts as held."""
FUNCTIONS: tuple[tuple[str, dict[str, float]], ...] = (
    ("silu", {}),
    ("gelu", {}),
    ("gelu_tanh", {}),
    ("hard_swish", {}),
    ("mish", {}),
    ("elu", {}),
    ("softplus", {}),
    ("sigmoid", {}),
    ("tanh", {}),
    ("hard_sigmoid", {}),
    ("celu", {"alpha": 0.5}),
    ("selu", {}),
    ("leaky_relu", {"alpha": 0.1}),
    ("leaky_relu", {"alpha": 0.3}),
    ("clip", {}),
)


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    text = put(text, "errors", errors())
    if len(sys.argv) > 1:
        rows = json.loads((Path(sys.argv[1]) / "report.json").read_text(encoding="utf-8"))
        text = put(text, "compared", compared(rows))
    PAGE.write_text(text, encoding="utf-8")


def output_of(name: str, low: float, high: float, attributes: dict[str, float]) -> Format:
    """Return the format of 8 bits with the finest step, a power of two, that holds a function."""
    values = named(name, **attributes)(np.linspace(low, high, 4097))
    signed = bool(values.min() < 0)
    need = max(values.max() / (127 if signed else 255), -values.min() / 128)
    fraction = UNIT.get(name, -math.ceil(math.log2(need) - 1e-9))
    return Format(width=8, signed=signed, fraction=fraction)


def errors() -> str:
    """Greatest and mean error of every function, a row each, a column for each range."""
    cells = []
    for name, attributes in FUNCTIONS:
        function = named(name, **attributes)
        row = [f"`{function.name}`"]
        for reach in RANGES:
            low, high = -float(reach), reach * (1 - 2**-7)
            output = output_of(name, low, high, attributes)
            fitted = best_table(ActivationParams(), function, low=low, high=high, output=output)
            row.append(f"{fitted.max_error:.2f} / {fitted.mean_error:.2f}")
        cells.append(row)
    return "\n".join(markdown_table(["function", *(f"R = {reach}" for reach in RANGES)], cells))


def compared(rows: list[dict[str, Any]]) -> str:
    """What each circuit costs, a row each for every library."""
    cells = []
    for library in libraries(rows):
        for row in (row for row in rows if row["cells"] == library):
            figures = [f"{row['area_um2']:,.0f}", f"{row['table_bits']:,}"]
            figures += [f"{row['delay_ns']:.1f}", f"{row['energy_pj_per_op']:.2f}"]
            missed = f"{row['max_error_ulp']:.2f} / {row['mean_error_ulp']:.2f}"
            cells.append([f"{short(library)}: {row['scheme']}", *figures, missed])
    heads = ["", "um2", "bits of a table", "longest path, ns", "pJ", "error, ULP"]
    return "\n".join(markdown_table(heads, cells))


if __name__ == "__main__":
    main()
