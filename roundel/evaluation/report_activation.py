"""The section of a report on circuits for functions of one value."""

from collections.abc import Sequence
from pathlib import Path

from roundel.evaluation.report_parts import Row, fpga_lines, libraries, ratio_cells, slug
from roundel.ui import bars, figure, markdown_table

OWN_SCHEME = "segments alone"
"""What ratios are of: the lane that does what the baselines do, without residual and slopes."""
ACTIVATION_COLUMNS = (
    *("scheme", "area um2", "NAND2", "delay ns", "pJ/op", "of which logic", "bits of a table"),
    *("largest error, ULP", "mean", "verified"),
)
_FIGURES = {"area": "area_um2", "area, logic alone": "area_logic_um2", "energy": "energy_pj_per_op"}


def activation_section(rows: Sequence[Row], folder: Path) -> list[str]:
    """Lines of Markdown that compare the circuits; their pictures go into `folder`."""
    text = ["# Functions of one value compared", "", *_preamble(rows)]
    for cells in libraries(rows):
        here = [row for row in rows if row["cells"] == cells]
        picture = f"activation_{slug(cells)}.png"
        _draw(here, folder / picture)
        text += [f"## {cells}", "", f"![Area and energy of each circuit on {cells}]({picture})", ""]
        text += [*markdown_table(ACTIVATION_COLUMNS, map(activation_cells, here)), ""]
        text += [f"How many times more each needs than `{OWN_SCHEME}`:", ""]
        text += [*markdown_table(("baseline", *_FIGURES), ratio_cells(here, OWN_SCHEME, _FIGURES)), ""]
        text += fpga_lines(here)
    return text


def activation_cells(row: Row) -> list[str]:
    """One line of the table of circuits."""
    areas = [f"{row['area_um2']:,.0f}", f"{row['area_nand2']:,.0f}", f"{row['delay_ns']:.2f}"]
    energies = [f"{row[key]:.3f}" for key in ("energy_pj_per_op", "energy_logic_pj_per_op")]
    errors = [f"{row[key]:.2f}" for key in ("max_error_ulp", "mean_error_ulp")]
    return [row["scheme"], *areas, *energies, f"{row['table_bits']:,}", *errors, "yes" if row["verified"] else "no"]


def _preamble(rows: Sequence[Row]) -> list[str]:
    return [
        f"GELU from -8 to 8, output in steps of 1/16; stimulus: {rows[0]['stimulus']}, {rows[0]['ops']} operations, as",
        "bytes, or as words of 11 bits where a circuit takes such. `segments` is a lane of the activation unit with a",
        "residual and the slope of a column, `segments alone` without both.",
        "",
        "`area` and `energy` are those of logic, pipeline and output register. The registers of a layer's table, which",
        "all lanes of a unit share, stand apart, as does the input register. Every circuit is mapped with variants of",
        "the flow and keeps its smallest netlist, which then ran the stimulus under Verilator; `verified` when every",
        "result equalled the golden model. Settled values: no glitches, no wires, no clock tree (docs/power.md).",
        "",
    ]


def _draw(rows: Sequence[Row], path: Path) -> None:
    names = [row["scheme"] for row in rows]
    figures = (("area", "um2", "area, µm²", ",.0f"), ("energy", "pj_per_op", "energy, pJ", ".2f"))
    with figure(path, 12, 3.6) as drawing:
        for axes, (kind, unit, label, form) in zip(drawing.subplots(1, 2), figures, strict=True):
            parts = [
                (name, [row[f"{kind}_{part}_{unit}"] for row in rows])
                for name, part in (("logic", "logic"), ("output register", "output_register"))
            ]
            bars(axes, names, parts, [format(row[f"{kind}_{unit}"], form) for row in rows], label)
            axes.legend(frameon=False)
