"""The section of a report on suppression units."""

from collections.abc import Sequence
from pathlib import Path

from roundel.evaluation.report_parts import Row, fpga_lines, libraries, ratio_cells, slug
from roundel.synth.measure import SRAM_PJ_PER_BIT
from roundel.ui import bars, figure, markdown_table

BASELINE = "greedy, 1 lane"
NMS_COLUMNS = (
    *("scheme", "area um2", "NAND2", "registers um2", "memory kbit", "delay ns", "boxes/cycle"),
    *("pJ/box", "internal", "switching", "tables pJ/box", "verified"),
)
_PART_COLUMNS = (
    *("scheme", "logic pJ", "registers", "clock gates"),
    *("boxes pJ", "windows", "queues", "boxes kbit", "windows", "queues"),
)
_RATIOS = {
    "area": "area_um2",
    "memory": "memory_bits",
    "boxes/cycle": "boxes_per_cycle",
    "pJ/box": "energy_pj_per_op",
    "tables pJ/box": "energy_tables_pj_per_op",
}


def nms_section(rows: Sequence[Row], folder: Path) -> list[str]:
    """Lines of Markdown that compare suppression units; their pictures go into `folder`."""
    text = ["# Suppression units compared", "", *_preamble(rows)]
    for cells in libraries(rows):
        here = [row for row in rows if row["cells"] == cells]
        picture = f"nms_{slug(cells)}.png"
        _draw(here, folder / picture)
        text += [f"## {cells}", "", f"![Area and energy of each suppression unit on {cells}]({picture})", ""]
        text += [*markdown_table(NMS_COLUMNS, map(nms_cells, here)), ""]
        text += ["Parts, per box: logic on this library; tables at 45 nm:", ""]
        text += [*markdown_table(_PART_COLUMNS, map(_parts, here)), ""]
        if table := _against(here):
            text += [f"How many times that of `{BASELINE}`:", "", *table, ""]
        text += fpga_lines(here)
    return text


def _preamble(rows: Sequence[Row]) -> list[str]:
    form, sources = rows[0]["params"]["format"], "; ".join(sorted({row["stimulus"] for row in rows}))
    return [
        f"Images of {form['width']} x {form['height']} pixels, {rows[0]['params']['capacity']} boxes at most,"
        f" {form['classes']} class(es), scores of {form['score_width']} bits; stimulus: {sources},",
        f"back to back. Speed and energy are what {rows[0]['ops']} boxes more cost a run that already had one image:",
        "reset, clearing of tables and filling of pipelines are left out.",
        "",
        "`area`, `delay` and `pJ/box` are those of logic and registers. The mapped netlist ran the stimulus under",
        "Verilator, which gave the toggle counts, and is `verified` when every box kept equalled the golden model; the",
        "RTL was, where energy is not measured because the netlist has too many cells to simulate. Settled values: no",
        "glitches, no wires, no clock tree (docs/power.md).",
        "",
        "`tables` is what memories move, counted in the simulated RTL, at "
        f"{SRAM_PJ_PER_BIT:.3g} pJ per bit: 10 pJ for 64 bits",
        "of an 8 KiB SRAM at 45 nm (Horowitz, ISSCC 2014), reads and writes alike. Most of these memories are smaller",
        "and cost less.",
        "Compare it between rows, and do not add it to `pJ/box`, which is of another node.",
        "",
        "Published: 79 pJ per box at 28 nm, sorting (Shi et al., TCAS-II 2019); about 1 box per cycle, PSRR in",
        "hardware (Chen et al., DATE 2022).",
        "",
    ]


def nms_cells(row: Row) -> list[str]:
    """One line of the table of costs."""
    areas = [f"{row[name]:,.0f}" for name in ("area_um2", "area_nand2", "area_registers_um2")]
    speed = [f"{row['delay_ns']:.2f}", f"{row['boxes_per_cycle']:.3g}"]
    spent = [f"not measured: {row['gates']:,} cells", "", ""]
    if row["energy_pj_per_op"] is not None:
        spent = [f"{row[name]:,.0f}" for name in ("energy_pj_per_op", "internal", "switching")]
    tables = f"{row['energy_tables_pj_per_op']:,.0f}"
    return [
        row["scheme"],
        *areas,
        _kbit(row["memory_bits"]),
        *speed,
        *spent,
        tables,
        "yes" if row["verified"] else "no",
    ]


def _parts(row: Row) -> list[str]:
    logic = [row[f"energy_{name}_pj_per_op"] for name in ("logic", "registers", "clock_gates")]
    purposes = ("boxes", "windows", "queues")
    tables = [row[f"energy_tables_{name}_pj_per_op"] for name in purposes]
    energies = ["" if value is None else f"{value:,.1f}" for value in (*logic, *tables)]
    return [row["scheme"], *energies, *(_kbit(row[f"memory_bits_{name}"]) for name in purposes)]


def _kbit(bits: int) -> str:
    return f"{bits / 1024:,.0f}"


def _against(rows: Sequence[Row]) -> list[str]:
    """Every row in units of the baseline; nothing without it."""
    cells = ratio_cells(rows, BASELINE, _RATIOS, ".3g")
    return markdown_table(("scheme", *_RATIOS), cells) if cells else []


def _draw(rows: Sequence[Row], path: Path) -> None:
    names = [row["scheme"] for row in rows]
    with figure(path, 12, 0.42 * len(rows) + 1.6) as drawing:
        left, right = drawing.subplots(1, 2)
        registers = [row["area_registers_um2"] / 1000 for row in rows]
        logic = [row["area_um2"] / 1000 - held for row, held in zip(rows, registers, strict=True)]
        notes = [f"{row['area_um2'] / 1000:,.0f}" for row in rows]
        bars(left, names, [("logic", logic), ("registers", registers)], notes, "area, 1000 µm²")
        spent = [row["energy_pj_per_op"] for row in rows]
        registers = [row["energy_registers_pj_per_op"] or 0.0 for row in rows]
        logic = [(value or 0.0) - held for value, held in zip(spent, registers, strict=True)]
        notes = ["not measured" if value is None else f"{value:,.0f}" for value in spent]
        bars(right, names, [("logic", logic), ("registers", registers)], notes, "energy per box, pJ")
        right.legend(frameon=False, loc="upper right")  # the longest bars are the last ones, GreedyNMS
        left.set_title("Area of logic and registers")
        right.set_title("Energy of logic and registers")
