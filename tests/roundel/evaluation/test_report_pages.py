"""Pages, tables and pictures of a report: each column has the number of its name, which no other column has."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from roundel.evaluation import comparison, report, report_decoder, report_nms
from roundel.evaluation.report import report_tables, write_report
from roundel.evaluation.report_parts import fpga_lines, number, ratios, slug
from roundel.evaluation.stimulus import Accumulators
from roundel.golden.requant import RequantParams
from roundel.ui import COLOURS
from tests.support.figures import keep_figures


def table(page: str, first: str) -> list[list[str]]:
    """Cells of the first table whose heading begins with `first`, heading included."""
    lines = page.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    while at < len(lines) and lines[at].startswith("|"):
        rows.append([cell.strip() for cell in lines[at].strip("|").split("|")])
        at += 1
    return [rows[0], *rows[2:]]


def requantizer(scheme: str, scale: float, **more: object) -> dict[str, object]:
    values = {
        "area_um2": 1000.0, "area_nand2": 200.0, "delay_ns": 1.25, "energy_pj_per_op": 0.5, "internal": 0.3,
        "switching": 0.19, "leakage": 0.01, "area_with_input_um2": 1700.0, "energy_with_input_pj_per_op": 0.9,
    }  # fmt: skip
    parts = {"logic": 600.0, "output_register": 400.0, "input_register": 700.0, "parameter_register": 80.0}
    values |= {f"area_{name}_um2": value for name, value in parts.items()}
    values |= {f"energy_{name}_pj_per_op": value / 2000 for name, value in parts.items()}
    row = {name: value * scale for name, value in values.items()}
    return row | {
        "unit": "requant", "scheme": scheme, "cells": "toy 1", "params": RequantParams(scheme=scheme).as_dict(),
        "ops": 77, "stimulus": "two layers", "verified": True,
    } | more  # fmt: skip


REQUANTIZERS = [requantizer("shift", 1.0), requantizer("fixed16", 2.5, verified=False)]


@pytest.fixture
def figures(monkeypatch):
    return [keep_figures(monkeypatch, module) for module in (report, report_nms, report_decoder)]


def bars_of(axes) -> list[tuple[float, float]]:
    return [(bar.get_x(), bar.get_width()) for bar in axes.patches]


def notes_of(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_requantizers(tmp_path, figures):
    write_report(REQUANTIZERS, tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "Accumulators of 32 bits; stimulus: two layers, 77 operations." in page
    assert "![Area and energy of each requantizer on toy 1](requant_toy_1.png)" in page
    assert table(page, "scheme") == [
        ["scheme", "area um2", "NAND2", "delay ns", "pJ/op", "internal", "switching", "leakage", "verified"],
        ["shift (8 bits)", "1,000", "200", "1.25", "0.5", "0.3", "0.19", "0.01", "yes"],
        ["fixed16 (8 bits)", "2,500", "500", "3.12", "1.25", "0.75", "0.475", "0.025", "no"],
    ]
    assert table(page, "baseline") == [
        [
            *("baseline", "area, operator", "area, logic alone", "area, with input register"),
            *("energy, operator", "energy, logic alone", "energy, with input register"),
        ],
        ["fixed16", *["2.50"] * 6],
    ]
    (parts,) = [line for line in page.splitlines() if line.startswith("| shift | 600 ")]
    assert parts == "| shift | 600 | 400 | 700 | 80 | 0.3 | 0.2 | 0.35 | 0.04 |"
    heading = "| scheme | logic um2 | output reg. | input reg. | parameter reg. | logic pJ | output reg. |"
    assert heading in page
    [(drawing, name, size)] = figures[0]
    assert (name, size) == ("requant_toy_1.png", pytest.approx((11, 0.42 * 2 + 1.6)))
    left, right = drawing.axes
    assert bars_of(left) == [(0, 600), (0, 1500), (600, 400), (1500, 1000)]
    assert bars_of(right) == [(0, 0.3), (0, 0.75), (0.3, 0.2), (0.75, 0.5)]
    assert notes_of(left) == notes_of(right) == ["1×", "2.5×"]
    assert (left.get_xlabel(), right.get_xlabel()) == ("area, µm²", "energy per operation, pJ")
    assert (left.get_title(), right.get_title()) == ("Area (× the runtime shift)", "Energy (× the runtime shift)")
    assert [label.get_text() for label in left.get_yticklabels()] == ["shift", "fixed16"]


def test_requantizers_without_the_shift(tmp_path, figures):
    write_report(REQUANTIZERS[1:], tmp_path)
    assert notes_of(figures[0][0].drawing.axes[0]) == [""]
    assert len(table((tmp_path / "report.md").read_text(), "baseline")) == 1
    idle = [REQUANTIZERS[0] | {"energy_logic_pj_per_op": 0.0}, REQUANTIZERS[1]]
    write_report(idle, tmp_path)
    line = table((tmp_path / "report.md").read_text(), "baseline")[1]
    assert line == ["fixed16", "2.50", "2.50", "2.50", "2.50", "", "2.50"]


def test_ratios_of_what_both_have():
    rows = [{"scheme": "a", "cells": "x", "n": 2.0, "none": 0}, {"scheme": "b", "cells": "x", "n": 5.0, "none": 3}]
    rows += [{"scheme": "b", "cells": "y", "n": 7.0}, {"scheme": "c", "cells": "x", "n": None}]
    assert ratios(rows, "a", {"N": "n", "0": "none"}) == [
        {"cells": "x", "baseline": "b", "figure": "N", "scheme": "a", "ratio": 2.5}
    ]


ARRAYS = [
    {
        "unit": "mac", "scheme": scheme, "cells": "toy", "params": {"lanes": 16, "columns": 12}, "stimulus": "layer 3",
        "area_per_mac_um2": 1000.0 * scale, "area_per_mac_without_requantizers_um2": 900.0 * scale,
        "area_registers_per_mac_um2": 300.0 * scale, "delay_ns": 9.876, "energy_pj_per_op": 0.8 * scale,
        "internal": 0.5 * scale, "switching": 0.25 * scale, "leakage": 0.05 * scale, "energy_columns": 4,
        "verified": scale == 1, "memory_bits": 3, "area_um2": 1,
    }
    for scheme, scale in (("pairs", 1), ("product", 2))
]  # fmt: skip


def test_arrays(tmp_path, figures):
    write_report(ARRAYS, tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert page.startswith("# MAC arrays compared\n\n16 x 12 multiplications a beat; stimulus: layer 3,")
    assert "Energy is that of the same array with 4 columns" in page
    assert table(page, "array") == [
        [
            *("array", "um2 per MAC", "without requantizers", "registers", "delay ns"),
            *("pJ per MAC", "internal", "switching", "leakage", "verified"),
        ],
        ["pairs", "1,000", "900", "300", "9.88", "0.8", "0.5", "0.25", "0.05", "yes"],
        ["product", "2,000", "1,800", "600", "9.88", "1.6", "1", "0.5", "0.1", "no"],
    ]
    [(drawing, name, size)] = figures[0]
    assert (name, size) == ("mac_toy.png", pytest.approx((11, 0.5 * 2 + 1.4)))
    left, right = drawing.axes
    assert bars_of(left) == [(0, 700), (0, 1400), (700, 300), (1400, 600)]
    assert bars_of(right) == [(0, 0.5), (0, 1), (0.5, 0.25), (1, 0.5)]
    assert (notes_of(left), notes_of(right)) == (["1,000", "2,000"], ["0.8", "1.6"])
    assert (left.get_title(), right.get_title()) == ("Area", "Energy")
    assert "µm²" in left.get_xlabel()
    assert "pJ" in right.get_xlabel()


def suppressor(scheme: str, scale: float, energy: float | None) -> dict[str, object]:
    names = ("energy_pj_per_op", "internal", "switching", "energy_logic_pj_per_op", "energy_registers_pj_per_op")
    spent = dict.fromkeys((*names, "energy_clock_gates_pj_per_op"))
    if energy is not None:
        shares = (1, 0.6, 0.4, 0.5, 0.3, 0.2)
        spent = {name: energy * share for name, share in zip(spent, shares, strict=True)}
    form = {"width": 640, "height": 480, "classes": 3, "score_width": 9}
    return spent | {
        "unit": "nms", "scheme": scheme, "cells": "toy", "params": {"format": form, "capacity": 500}, "gates": 40_000,
        "area_um2": 9000.0 * scale, "area_nand2": 1800.0 * scale, "area_registers_um2": 4000.0 * scale,
        "delay_ns": 7.125, "boxes_per_cycle": 0.75 * scale, "memory_bits": 6144 * scale, "ops": 900,
        "memory_bits_boxes": 1024, "memory_bits_windows": 2048, "memory_bits_queues": 3072 * scale,
        "energy_tables_pj_per_op": 30.0 * scale, "energy_tables_boxes_pj_per_op": 10.5,
        "energy_tables_windows_pj_per_op": 11.25, "energy_tables_queues_pj_per_op": 8.25, "stimulus": "crowd",
        "verified": energy is not None,
    }  # fmt: skip


SUPPRESSORS = [
    suppressor("greedy, 1 lane", 1, 500.0),
    suppressor("psrr cascade", 2, 1000.0),
    suppressor("big", 4, None),
]


def test_suppression_units(tmp_path, figures):
    write_report(SUPPRESSORS, tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "Images of 640 x 480 pixels, 500 boxes at most, 3 class(es), scores of 9 bits; stimulus: crowd," in page
    assert "what 900 boxes more cost" in page
    assert "at 0.156 pJ per bit: 10 pJ for 64 bits" in page
    assert table(page, "scheme") == [
        [
            *("scheme", "area um2", "NAND2", "registers um2", "memory kbit", "delay ns", "boxes/cycle"),
            *("pJ/box", "internal", "switching", "tables pJ/box", "verified"),
        ],
        ["greedy, 1 lane", "9,000", "1,800", "4,000", "6", "7.12", "0.75", "500", "300", "200", "30", "yes"],
        ["psrr cascade", "18,000", "3,600", "8,000", "12", "7.12", "1.5", "1,000", "600", "400", "60", "yes"],
        ["big", "36,000", "7,200", "16,000", "24", "7.12", "3", "not measured: 40,000 cells", "", "", "120", "no"],
    ]
    assert "| greedy, 1 lane | 250.0 | 150.0 | 100.0 | 10.5 | 11.2 | 8.2 | 1 | 2 | 3 |" in page
    assert "| big |  |  |  | 10.5 | 11.2 | 8.2 | 1 | 2 | 12 |" in page
    assert "| scheme | area | memory | boxes/cycle | pJ/box | tables pJ/box |" in page
    assert "| psrr cascade | 2 | 2 | 2 | 2 | 2 |" in page
    assert "| big | 4 | 4 | 4 |  | 4 |" in page
    [(drawing, name, size)] = figures[1]
    assert (name, size) == ("nms_toy.png", pytest.approx((12, 0.42 * 3 + 1.6)))
    left, right = drawing.axes
    assert bars_of(left) == [(0, 5), (0, 10), (0, 20), (5, 4), (10, 8), (20, 16)]
    assert bars_of(right) == [(0, 350), (0, 700), (0, 0), (350, 150), (700, 300), (0, 0)]
    assert (notes_of(left), notes_of(right)) == (["9", "18", "36"], ["500", "1,000", "not measured"])
    assert (left.get_title(), right.get_title()) == ("Area of logic and registers", "Energy of logic and registers")
    assert right.get_legend() is not None
    write_report(SUPPRESSORS[1:], tmp_path)
    assert "How many times that of" not in (tmp_path / "report.md").read_text()


def coder(scheme: str, stimulus: str, scale: float) -> dict[str, object]:
    return {
        "unit": "decoder", "scheme": scheme, "cells": "toy", "params": {"width": 4}, "stimulus": stimulus,
        "area_um2": 8000.0 * scale, "area_nand2": 1600.0 * scale, "area_registers_um2": 3000.0 * scale,
        "area_core_um2": 5000.0 * scale, "area_core_registers_um2": 2000.0 * scale,
        "area_core_logic_nand2": 600.0 * scale, "area_core_registers_nand2": 400.0 * scale, "delay_ns": 6.5,
        "delay_core_ns": 5.25, "ops": 32_768, "bits_per_weight": 1.5 * scale, "weights_per_cycle": 8.0 / scale,
        "energy_pj_per_op": 0.9, "energy_logic_pj_per_op": 0.4, "energy_registers_pj_per_op": 0.35,
        "energy_clock_gates_pj_per_op": 0.15, "internal": 0.7, "switching": 0.2, "saved_sram_pj_per_op": 0.375,
        "saved_dram_pj_per_op": 48.25, "verified": scale == 1,
    }  # fmt: skip


DECODERS = [
    coder("mask", "digits network", 1),
    coder("mask", "Laplace, 90% zeros", 2),
    coder("rice", "digits network", 1),
    coder("rice", "Laplace, 90% zeros", 4),
]


def test_decoders(tmp_path, figures):
    write_report(DECODERS, tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "Codes of 4 bits in streams" in page
    assert "seed 1, 32,768 each." in page
    assert "0.156 pJ (8 KiB SRAM) or 20.3 pJ (DRAM" in page
    assert table(page, "scheme") == [
        [
            *("scheme", "area um2", "NAND2", "registers um2", "core: logic NAND2", "core: registers NAND2"),
            *("delay ns", "core: delay ns"),
        ],
        ["mask", "8,000", "1,600", "3,000", "600", "400", "6.50", "5.25"],
        ["rice", "8,000", "1,600", "3,000", "600", "400", "6.50", "5.25"],
    ]
    line = (
        "| mask | digits network | 1.500 | 8.00 | 0.900 | 0.400 | 0.350 | 0.150 | 0.700 | 0.200 | 0.375 | 48.2 | yes |"
    )
    assert line in page
    assert "| rice | Laplace, 90% zeros | 6.000 | 2.00 | 0.900 |" in page
    [(drawing, name, size)] = figures[2]
    assert (name, size) == ("decoder_toy.png", (12, 4.2))
    left, right = drawing.axes
    shown = [(line.get_xdata(), line.get_ydata(), line.get_marker(), to_hex(line.get_color())) for line in left.lines]
    assert shown == [
        ([4], [3], "o", COLOURS[0]),
        ([8], [1.5], "*", COLOURS[0]),
        ([2], [6], "o", COLOURS[1]),
        ([8], [1.5], "*", COLOURS[1]),
    ]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["mask", "rice"]
    assert (left.get_xlim()[0], left.get_ylim()[0]) == (0, 0)
    assert (left.get_xlabel(), left.get_ylabel()) == ("dense weights per cycle", "bits per weight")
    assert bars_of(right) == [(0, 3), (0, 3), (3, 2), (3, 2), (5, 3), (5, 3)]
    assert notes_of(right) == ["8", "8"]
    assert "Laplace weights (o)" in left.get_title()
    assert right.get_title() == "Area of logic and registers"


def test_what_fits_a_terminal():
    rows = [*REQUANTIZERS, *ARRAYS, *SUPPRESSORS, *DECODERS]
    grids = {grid.title: grid for grid in report_tables(rows)}
    assert list(grids) == ["requant on toy 1", "times shift", "mac on toy", "nms on toy", "decoder on toy"]
    assert grids["requant on toy 1"].columns == ["scheme", "area um2", "delay ns", "pJ/op", "verified"]
    assert grids["requant on toy 1"].rows[1] == ["fixed16 (8 bits)", "2,500", "3.12", "1.25", "no"]
    assert grids["times shift"].rows == [["fixed16", *["2.50"] * 6]]
    assert grids["mac on toy"].columns == [
        *("array", "um2 per MAC", "registers", "delay ns", "pJ per MAC", "verified"),
    ]
    assert grids["mac on toy"].rows[0] == ["pairs", "1,000", "300", "9.88", "0.8", "yes"]
    assert grids["nms on toy"].columns == ["scheme", "area um2", "delay ns", "boxes/cycle", "pJ/box", "verified"]
    assert grids["nms on toy"].rows[0] == ["greedy, 1 lane", "9,000", "7.12", "0.75", "500", "yes"]
    assert grids["decoder on toy"].columns == [
        *("scheme", "stimulus", "bits/weight", "weights/cycle", "pJ/weight", "verified"),
    ]
    assert grids["decoder on toy"].rows[3] == ["rice", "Laplace, 90% zeros", "6.000", "2.00", "0.900", "no"]


def test_units_of_a_report_have_a_section_each(tmp_path, figures):
    write_report([*DECODERS, *SUPPRESSORS, *ARRAYS, *REQUANTIZERS], tmp_path)
    heads = [line for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("# ")]
    assert heads == [
        *("# Requantizers compared", "# MAC arrays compared", "# Suppression units compared"),
        "# Decoders of sparse weights compared",
    ]


def test_tables_of_an_fpga():
    row = {"scheme": "a", "lut": 12, "ff": 34, "dsp": 5, "bram": 6, "fmax_mhz": 101.26}
    lines = fpga_lines([{"scheme": "none"}, row])
    assert lines[:2] == ["After place and route on ECP5:", ""]
    assert lines[2] == "| scheme | LUT4 | FF | DSP | BRAM | Fmax MHz |"
    assert lines[4:] == ["| a | 12 | 34 | 5 | 6 | 101.3 |", ""]
    assert fpga_lines([{"scheme": "none"}]) == []
    short = row | {"fmax_mhz": None, "fpga_excess": {"MULT18X18D": 4}}
    assert fpga_lines([short])[4].endswith("| does not fit (5 of 4 multipliers) |")
    assert (number(3), number(2.345), slug("a-b.c 1")) == ("3", "2.3", "a_b_c_1")


def test_figures_of_place_and_route(monkeypatch):
    placed = SimpleNamespace(lut=1, ff=2, dsp=3, bram=4, fmax_mhz=5.5, fits=True, excess={})
    monkeypatch.setattr(comparison, "place_ecp5", lambda verilog, top: placed)
    monkeypatch.setattr(comparison, "to_verilog", lambda component, top: "")
    wanted = {"fpga": "ecp5", "lut": 1, "ff": 2, "dsp": 3, "bram": 4, "fmax_mhz": 5.5}
    assert comparison.fpga_figures(None, "top") == wanted
    placed.fits, placed.fmax_mhz, placed.excess = False, None, {"DP16KD": 3}
    assert comparison.fpga_figures(None, "top") == wanted | {"fmax_mhz": None, "fpga_excess": {"DP16KD": 3}}


def test_the_input_register_is_added_to_the_operator(monkeypatch):
    """Of a requantizer: area and energy with its input register."""
    monkeypatch.setattr(
        comparison,
        "measure_operator",
        lambda *_, **__: {
            **{"area_um2": 10.0, "area_input_register_um2": 4.0},
            **{"energy_pj_per_op": 2.0, "energy_input_register_pj_per_op": 0.5},
        },
    )
    acc = Accumulators(source="one layer", layers=(np.array([-500, 900]),), shifts=(3,))
    jobs = comparison.requant_jobs([Path("a/one.lib"), Path("b/two.lib")], acc)
    schemes = [params.scheme.value for params in comparison.requant_variants({})]
    assert [job.name for job in jobs] == [f"{scheme} on {name}.lib" for name in ("one", "two") for scheme in schemes]
    row = jobs[0].measure()
    assert (row["area_with_input_um2"], row["energy_with_input_pj_per_op"]) == (14, 2.5)
    assert "lut" not in row
