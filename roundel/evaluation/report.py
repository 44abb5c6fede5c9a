"""Reports: `report.json`, `report.csv`, `report.md` and plots from rows of measurements."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from roundel.evaluation.report_activation import ACTIVATION_COLUMNS, activation_cells, activation_section
from roundel.evaluation.report_decoder import DECODER_COLUMNS, decoder_cells, decoder_section
from roundel.evaluation.report_nms import JOINT_COLUMNS, NMS_COLUMNS, joint_cells, measured, nms_cells, nms_section
from roundel.evaluation.report_parts import REQUANT_FIGURES, Row, fpga_lines, libraries, ratio_cells, slug
from roundel.ui import Grid, bars, figure, markdown_table, write_json

REFERENCE_SCHEME = "shift"
NMS_UNITS = ("nms", "exact_nms", "topk", "greedy_nms")


def write_report(rows: Sequence[Row], folder: Path) -> None:
    """Write the comparison of any number of units into `folder`."""
    _write_rows(rows, folder)
    parts = []
    if requantizers := [row for row in rows if row["unit"] == "requant"]:
        parts.append(requant_section(requantizers, folder))
    if functions := [row for row in rows if row["unit"] == "activation"]:
        parts.append(activation_section(functions, folder))
    if arrays := [row for row in rows if row["unit"] == "mac"]:
        parts.append(mac_section(arrays, folder))
    if suppressors := [row for row in rows if row["unit"] in NMS_UNITS]:
        parts.append(nms_section(suppressors, folder))
    if decoders := [row for row in rows if row["unit"] == "decoder"]:
        parts.append(decoder_section(decoders, folder))
    (folder / "report.md").write_text(
        "\n".join(line for part in parts for line in part).rstrip() + "\n", encoding="utf-8"
    )


def report_tables(rows: Sequence[Row]) -> Iterator[Grid]:
    """Give what fits a terminal: costs of each unit, and the requantizers' ratios; the page has the parts."""
    units = (
        ("requant", ("requant",), _COST_COLUMNS, _cost, (0, 1, 3, 4, 8)),
        ("activation", ("activation",), ACTIVATION_COLUMNS, activation_cells, (0, 1, 3, 4, 7, 9)),
        ("mac", ("mac",), _MAC_COLUMNS, _mac, (0, 1, 3, 4, 5, 9)),
        ("nms", NMS_UNITS, NMS_COLUMNS, nms_cells, (0, 1, 5, 6, 7, 11)),
        ("decoder", ("decoder",), DECODER_COLUMNS, decoder_cells, (0, 1, 2, 3, 4, 12)),
    )
    for unit, names, columns, cells, kept in units:
        chosen = [row for row in rows if row["unit"] in names]
        for library in libraries(chosen):
            here = [row for row in chosen if row["cells"] == library]
            shown = [[cells(row)[column] for column in kept] for row in here]
            yield Grid(f"{unit} on {library}", [columns[column] for column in kept], shown)
            if unit == "nms" and measured(here):
                yield Grid("points of AP50 / AP75 lost, and costs", JOINT_COLUMNS, joint_cells(here))
            if unit == "requant":
                lines = ratio_cells(here, REFERENCE_SCHEME)
                yield Grid(f"times {REFERENCE_SCHEME}", ("baseline", *REQUANT_FIGURES), lines)


def requant_section(rows: Sequence[Row], folder: Path) -> list[str]:
    """Lines of Markdown that compare requantizers; their pictures go into `folder`."""
    text = ["# Requantizers compared", "", *_preamble(rows)]
    for cells in libraries(rows):
        here = [row for row in rows if row["cells"] == cells]
        picture = f"requant_{slug(cells)}.png"
        _draw_requant(here, folder / picture)
        text += [f"## {cells}", "", f"![Area and energy of each requantizer on {cells}]({picture})", ""]
        text += [*markdown_table(_COST_COLUMNS, map(_cost, here)), ""]
        text += [f"How many times more each needs than `{REFERENCE_SCHEME}`:", ""]
        text += [*markdown_table(("baseline", *REQUANT_FIGURES), ratio_cells(here, REFERENCE_SCHEME)), ""]
        text += ["Parts, in um2 and pJ per operation:", "", *markdown_table(_PART_COLUMNS, map(_parts, here)), ""]
        text += fpga_lines(here)
    return text


def mac_section(rows: Sequence[Row], folder: Path) -> list[str]:
    """Lines of Markdown that compare MAC arrays; their pictures go into `folder`."""
    shape = f"{rows[0]['params']['lanes']} x {rows[0]['params']['columns']}"
    text = [
        "# MAC arrays compared",
        "",
        f"{shape} multiplications a beat; stimulus: {rows[0]['stimulus']}, unsigned activations of 8 bits.",
        "Per multiplication; everything counts but the accumulator memory: both copies of the weights, all registers,",
        "clock gates, the requantizers. Energy is that of the same array with "
        f"{rows[0]['energy_columns']} columns, whose mapped netlist ran the",
        "stimulus under Verilator; `verified` when all its outputs, and those of the whole array's RTL, equalled the",
        "golden model. Settled values: no glitches, no wires, no clock tree.",
        "",
    ]
    for cells in libraries(rows):
        here = [row for row in rows if row["cells"] == cells]
        picture = f"mac_{slug(cells)}.png"
        _draw_mac(here, folder / picture)
        text += [f"## {cells}", "", f"![Area and energy of a multiplication on {cells}]({picture})", ""]
        text += [*markdown_table(_MAC_COLUMNS, map(_mac, here)), "", *fpga_lines(here)]
    return text


def _preamble(rows: Sequence[Row]) -> list[str]:
    widths = ", ".join(str(width) for width in sorted({row["params"]["acc_width"] for row in rows}))
    sources = "; ".join(sorted({row["stimulus"] for row in rows}))
    return [
        f"Accumulators of {widths} bits; stimulus: {sources}, {rows[0]['ops']} operations.",
        "",
        "`area` and `energy` are those of the operator: its logic and its output register. The input register, which",
        "all schemes share, and the registers of run-time parameters stand apart. Every scheme is mapped with each",
        "variant of the flow and keeps its smallest netlist. That netlist then ran the stimulus under Verilator, which",
        "gave the toggle counts, and is `verified` when every result equalled the golden model. One settled value per",
        "cycle: no glitches, no wires, no clock tree, which flatters the multipliers (docs/power.md).",
        "",
    ]


_COST_COLUMNS = ("scheme", "area um2", "NAND2", "delay ns", "pJ/op", "internal", "switching", "leakage", "verified")
_PART_COLUMNS = (
    *("scheme", "logic um2", "output reg.", "input reg.", "parameter reg."),
    *("logic pJ", "output reg.", "input reg.", "parameter reg."),
)


def _cost(row: Row) -> list[str]:
    energies = [f"{row[key]:.3g}" for key in ("energy_pj_per_op", "internal", "switching", "leakage")]
    name = f"{row['scheme']} ({row['params']['out_width']} bits)"
    area = [f"{row['area_um2']:,.0f}", f"{row['area_nand2']:,.0f}", f"{row['delay_ns']:.2f}"]
    return [name, *area, *energies, "yes" if row["verified"] else "no"]


def _parts(row: Row) -> list[str]:
    names = ("logic", "output_register", "input_register", "parameter_register")
    areas = [f"{row[f'area_{name}_um2']:,.0f}" for name in names]
    return [row["scheme"], *areas, *(f"{row[f'energy_{name}_pj_per_op']:.3g}" for name in names)]


_MAC_COLUMNS = (
    *("array", "um2 per MAC", "without requantizers", "registers"),
    *("delay ns", "pJ per MAC", "internal", "switching", "leakage", "verified"),
)


def _mac(row: Row) -> list[str]:
    names = ("area_per_mac_um2", "area_per_mac_without_requantizers_um2", "area_registers_per_mac_um2")
    energies = [f"{row[key]:.3g}" for key in ("energy_pj_per_op", "internal", "switching", "leakage")]
    areas = [f"{row[name]:,.0f}" for name in names]
    return [row["scheme"], *areas, f"{row['delay_ns']:.2f}", *energies, "yes" if row["verified"] else "no"]


def _draw_mac(rows: Sequence[Row], path: Path) -> None:
    names = [row["scheme"] for row in rows]
    with figure(path, 11, 0.5 * len(rows) + 1.4) as drawing:
        left, right = drawing.subplots(1, 2)
        registers = [row["area_registers_per_mac_um2"] for row in rows]
        logic = [row["area_per_mac_um2"] - held for row, held in zip(rows, registers, strict=True)]
        notes = [f"{row['area_per_mac_um2']:,.0f}" for row in rows]
        bars(left, names, [("logic", logic), ("registers", registers)], notes, "area per multiplication, µm²")
        parts = [(name, [row[name] for row in rows]) for name in ("internal", "switching")]
        bars(right, names, parts, [f"{row['energy_pj_per_op']:.2g}" for row in rows], "energy per multiplication, pJ")
        left.set_title("Area")
        right.set_title("Energy")


def _draw_requant(rows: Sequence[Row], path: Path) -> None:
    shift = next((row for row in rows if row["scheme"] == REFERENCE_SCHEME), None)
    names = [row["scheme"] for row in rows]
    with figure(path, 11, 0.42 * len(rows) + 1.6) as drawing:
        left, right = drawing.subplots(1, 2)
        for axes, total, logic, register, label in (
            (left, "area_um2", "area_logic_um2", "area_output_register_um2", "area, µm²"),
            (
                right,
                "energy_pj_per_op",
                "energy_logic_pj_per_op",
                "energy_output_register_pj_per_op",
                "energy per operation, pJ",
            ),
        ):
            notes = [f"{row[total] / shift[total]:.2g}×" if shift else "" for row in rows]
            parts = [("logic", [row[logic] for row in rows]), ("output register", [row[register] for row in rows])]
            bars(axes, names, parts, notes, label)
        left.set_title("Area (× the runtime shift)")
        right.set_title("Energy (× the runtime shift)")


def _write_rows(rows: Sequence[Row], folder: Path) -> None:
    write_json(folder / "report.json", list(rows))
    keys = list(dict.fromkeys(key for row in rows for key in row))
    with open(folder / "report.csv", "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, keys)
        writer.writeheader()
        writer.writerows(rows)
