"""The section of a report on suppression units."""

from collections.abc import Sequence
from pathlib import Path

from roundel.evaluation.report_parts import Row, fpga_lines, frequency, libraries, ratio_cells, slug
from roundel.synth.measure import SRAM_PJ_PER_BIT
from roundel.ui import bars, figure, markdown_table

BASELINE = "greedy, 1 lane"
NMS_COLUMNS = (
    *("scheme", "area um2", "NAND2", "registers um2", "memory kbit", "delay ns", "boxes/cycle"),
    *("pJ/box", "internal", "switching", "tables pJ/box", "verified"),
)
SCENES = ("easy", "crowded", "sloppy")
_LOST = tuple(f"{name}_lost_{kind}" for name in ("ap50", "ap75") for kind in SCENES)
JOINT_COLUMNS = (
    *("method", *SCENES, "NAND2", "memory kbit", "delay ns", "pJ/box", "boxes/cycle"),
    *("LUT4 / FF / RAM", "MHz", "front"),
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
        if table := joint_table(here):
            text += [*_about_joint(here[0]), "", *table, ""]
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


def joint_table(rows: Sequence[Row]) -> list[str]:
    """Points of AP that each method loses, and what it costs, a line each; nothing where AP was not measured."""
    return markdown_table(JOINT_COLUMNS, joint_cells(rows)) if measured(rows) else []


def measured(rows: Sequence[Row]) -> bool:
    """Whether AP was measured, of all rows."""
    return bool(rows) and all(_LOST[0] in row for row in rows)


def joint_cells(rows: Sequence[Row]) -> list[list[str]]:
    """Lines of the table of all methods; `*` marks those of `front`."""
    best = front(rows)
    cells = []
    for place, row in enumerate(rows):
        lost = [f"{row[fifty] + 0.0:.1f} / {row[more] + 0.0:.1f}" for fifty, more in zip(*_pairs(), strict=True)]
        energy = row["energy_pj_per_op"]
        costs = [f"{row['area_nand2']:,.0f}", _kbit(row["memory_bits"]), f"{row['delay_ns']:.1f}"]
        costs += ["-" if energy is None else f"{energy:,.0f}", f"{row['boxes_per_cycle']:.3f}"]
        placed = ["-", "-"]
        if "lut" in row:
            placed = [" / ".join(f"{row[name]:,}" for name in ("lut", "ff", "bram")), frequency(row)]
        cells.append([row["scheme"], *lost, *costs, *placed, "*" if place in best else ""])
    return cells


def front(rows: Sequence[Row]) -> set[int]:
    """Places of the rows that no other one beats: at least as good in all of `_costs`, and better in one."""
    costs = [_costs(row) for row in rows]
    return {place for place, own in enumerate(costs) if not any(_beats(other, own) for other in costs)}


def _costs(row: Row) -> list[float | None]:
    """AP lost where it is most, to a tenth of a point, area, memory, cycles of a box, energy if it was measured."""
    lost = max(0.0, *(round(row[name], 1) for name in _LOST))
    return [lost, row["area_nand2"], row["memory_bits"], 1 / row["boxes_per_cycle"], row["energy_pj_per_op"]]


def _beats(one: Sequence[float | None], other: Sequence[float | None]) -> bool:
    both = [(mine, its) for mine, its in zip(one, other, strict=True) if mine is not None and its is not None]
    return all(mine <= its for mine, its in both) and any(mine < its for mine, its in both)


def _pairs() -> tuple[tuple[str, ...], tuple[str, ...]]:
    return _LOST[: len(SCENES)], _LOST[len(SCENES) :]


def _about_joint(row: Row) -> list[str]:
    seeds = ", ".join(map(str, row["scene_seeds"]))
    return [
        "All methods: points of AP50 / AP75 below the better GreedyNMS in floating point (IoU 0.4 or 0.5), integers of",
        f"the unit, {row['scenes']} scenes of each kind for each of the seeds {seeds} (docs/nms_accuracy.md).",
        "GreedyNMS in hardware has the better of the two thresholds, too. `*`: no other method is as good in loss,",
        "area, memory, cycles and energy, as far as it was measured, and better in one.",
    ]


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
