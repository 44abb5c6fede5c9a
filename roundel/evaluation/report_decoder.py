"""The section of a report on decoders of sparse weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roundel.evaluation.report_parts import Row, fpga_lines, libraries, slug
from roundel.evaluation.stimulus_decoder import DIGITS_NETWORK
from roundel.synth.measure import DRAM_PJ_PER_BIT, SRAM_PJ_PER_BIT
from roundel.ui import COLOURS, bars, figure, markdown_table

DECODER_COLUMNS = (
    *("scheme", "stimulus", "bits/weight", "weights/cycle", "pJ/weight", "logic", "registers", "clock gates"),
    *("internal", "switching", "SRAM saved, pJ", "DRAM saved, pJ", "verified"),
)
_SIZE_COLUMNS = (
    *("scheme", "area um2", "NAND2", "registers um2", "core: logic NAND2", "core: registers NAND2"),
    *("delay ns", "core: delay ns"),
)


def decoder_section(rows: Sequence[Row], folder: Path) -> list[str]:
    """Lines of Markdown that compare decoders; their pictures go into `folder`."""
    text = ["# Decoders of sparse weights compared", "", *_preamble(rows)]
    for cells in libraries(rows):
        here = [row for row in rows if row["cells"] == cells]
        sizes = one_each(here)
        picture = f"decoder_{slug(cells)}.png"
        _draw(here, folder / picture)
        text += [f"## {cells}", "", f"![Size, speed and area of each decoder on {cells}]({picture})", ""]
        text += [*markdown_table(_SIZE_COLUMNS, map(_sizes, sizes)), ""]
        text += [*markdown_table(DECODER_COLUMNS, map(decoder_cells, here)), ""]
        text += fpga_lines(sizes)
    return text


def one_each(rows: Sequence[Row]) -> list[Row]:
    """Return the first row of each scheme: area and delay do not depend on the stimulus."""
    return list({row["scheme"]: row for row in reversed(rows)}.values())[::-1]


def _preamble(rows: Sequence[Row]) -> list[str]:
    width = rows[0]["params"]["width"]
    return [
        f"Codes of {width} bits in streams as docs/codecs.md defines them: of the digits network (a stream for each",
        "layer, in the order of an array of 16 columns, with the zeros that pad its edges), and of Laplace weights,",
        f"seed 1, {rows[-1]['ops']:,} each. All streams of a stimulus are sent without stalls, once and then twice;",
        "the difference counts, headers and lengths included. `bits/weight` is of the whole streams, `weights/cycle`",
        "of all cycles.",
        "",
        "`area`, `delay` and `pJ/weight` are those of the whole unit, with what reads headers, finds faults and holds",
        "the output. `core` is what a format needs for itself, the buffer that cuts fields out of the stream included.",
        "The mapped netlist ran the stimulus under Verilator, which gave the toggle counts, and is `verified` when",
        "every weight equalled the golden model. Settled values: no glitches, no wires, no clock tree (docs/power.md).",
        "",
        f"`saved` is what a memory need not give: {width} bits less those of the stream, times",
        f"{SRAM_PJ_PER_BIT:.3g} pJ (8 KiB SRAM) or {DRAM_PJ_PER_BIT:.3g} pJ (DRAM, the lesser figure) a bit, at 45 nm",
        "(Horowitz, ISSCC 2014). Do not add it to `pJ/weight`, which is of another node.",
        "",
    ]


def _sizes(row: Row) -> list[str]:
    names = ("area_um2", "area_nand2", "area_registers_um2", "area_core_logic_nand2", "area_core_registers_nand2")
    return [
        row["scheme"],
        *(f"{row[name]:,.0f}" for name in names),
        f"{row['delay_ns']:.2f}",
        f"{row['delay_core_ns']:.2f}",
    ]


def decoder_cells(row: Row) -> list[str]:
    """One line of the table of what a weight costs."""
    parts = ("energy_pj_per_op", *(f"energy_{part}_pj_per_op" for part in ("logic", "registers", "clock_gates")))
    spent = [f"{row[name]:.3f}" for name in (*parts, "internal", "switching")]
    saved = [f"{row['saved_sram_pj_per_op']:.3f}", f"{row['saved_dram_pj_per_op']:.1f}"]
    speed = [f"{row['bits_per_weight']:.3f}", f"{row['weights_per_cycle']:.2f}"]
    return [row["scheme"], row["stimulus"], *speed, *spent, *saved, "yes" if row["verified"] else "no"]


def _draw(rows: Sequence[Row], path: Path) -> None:
    sizes = one_each(rows)
    names = [row["scheme"] for row in sizes]
    with figure(path, 12, 4.2) as drawing:
        left, right = drawing.subplots(1, 2)
        for colour, name in zip(COLOURS, names, strict=False):
            here = [row for row in rows if row["scheme"] == name]
            _points(left, [row for row in here if row["stimulus"] != DIGITS_NETWORK], "o-", colour, name)
            _points(left, [row for row in here if row["stimulus"] == DIGITS_NETWORK], "*", colour, None)
        left.set_xlim(0)
        left.set_ylim(0)
        left.set_xlabel("dense weights per cycle")
        left.set_ylabel("bits per weight")
        left.legend(frameon=False, fontsize=9)
        left.set_title("Size and speed: Laplace weights (o), digits network (*)")
        core = [row["area_core_um2"] / 1000 for row in sizes]
        held = [row["area_core_registers_um2"] / 1000 for row in sizes]
        whole = [row["area_um2"] / 1000 for row in sizes]
        parts = [
            ("core, logic", [area - kept for area, kept in zip(core, held, strict=True)]),
            ("core, registers", held),
            ("header, faults, output", [area - inner for area, inner in zip(whole, core, strict=True)]),
        ]
        bars(right, names, parts, [f"{area:.0f}" for area in whole], "area, 1000 µm²")
        right.legend(frameon=False, loc="upper right")
        right.set_title("Area of logic and registers")


def _points(axes: Any, rows: Sequence[Row], marker: str, colour: str, label: str | None) -> None:
    speeds, sizes = [row["weights_per_cycle"] for row in rows], [row["bits_per_weight"] for row in rows]
    axes.plot(speeds, sizes, marker, color=colour, label=label, markersize=5 if "o" in marker else 11, linewidth=1)
