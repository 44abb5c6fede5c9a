"""Comparisons: stimulus that fits every scheme, ratios, and the report's files."""

import csv
import json
import runpy
from fractions import Fraction

import numpy as np
import pytest

from roundel.evaluation import (
    COMPARISONS,
    Accumulators,
    library_paths,
    ratios,
    report_tables,
    requant_variants,
    runtime,
    write_report,
)
from roundel.evaluation.report_parts import frequency
from roundel.evaluation.stimulus import digits, from_file
from roundel.golden.codec import DecoderParams
from roundel.golden.errors import InputError
from roundel.golden.nms import NmsParams
from roundel.golden.requant import RequantParams, Scheme
from roundel.golden.rounding import Rounding
from roundel.synth.cells import REFERENCE
from roundel.ui import row as measured
from roundel.ui import table
from tests.support.places import MAKE

ACC = Accumulators(
    source="two layers",
    layers=(np.array([-5000, 100, 4000]), np.array([900_000, -7, 123_456])),
    shifts=(6, 13),
)


def shown(rows):
    """Print the tables of rows, as the command does."""
    for grid in report_tables(rows):
        table(grid.title, grid.columns, grid.rows)


@pytest.mark.parametrize("params", requant_variants({}), ids=lambda params: params.scheme.value)
def test_every_scheme_gets_parameters_that_it_takes(params):
    fields = runtime(params, ACC)
    results = params.compute(ACC.acc, fields)
    low, high = params.limits
    assert results.min() >= low
    assert results.max() <= high
    assert len(np.unique(results)) > 2


@pytest.mark.parametrize("scheme", ["fixed8", "fixed16", "fixed32", "float32"])
def test_the_greatest_accumulator_of_a_layer_becomes_the_greatest_output(scheme):
    params = RequantParams(scheme=scheme)
    results = params.compute(ACC.acc, runtime(params, ACC))
    assert results.tolist()[:4] in ([-127, 3, 102, 127], [-127, 3, 101, 127])
    assert abs(int(results[5]) - round(Fraction(123_456 * 127, 900_000))) <= 1


def test_multipliers_are_no_powers_of_two():
    for scheme in ("fixed8", "fixed16", "fixed32"):
        multipliers = np.unique(runtime(RequantParams(scheme=scheme), ACC)["multiplier"])
        assert all(int(value).bit_count() > 1 for value in multipliers)


def test_shift_keeps_the_layers_own_shifts():
    assert runtime(RequantParams(), ACC)["shift"].tolist() == [6, 6, 6, 13, 13, 13]


def test_the_digits_fill_the_signed_output():
    found = digits(2)
    results = RequantParams().compute(found.acc, runtime(RequantParams(), found))
    assert results.max() > 60
    assert found.bits() <= 32
    assert "2 held-out images" in found.source


def test_accumulators_from_a_file(tmp_path):
    np.savez(tmp_path / "a.npz", acc=np.array([[1000, -2000], [3, 4]]))
    found = from_file(tmp_path / "a.npz")
    assert [layer.tolist() for layer in found.layers] == [[1000, -2000], [3, 4]]
    assert found.shifts == (4, 0)
    assert found.bits() == 12


@pytest.mark.parametrize("arrays", [{"b": np.array([1])}, {"acc": np.array([0.5])}, {"acc": np.zeros((0,), int)}])
def test_bad_accumulator_files(arrays, tmp_path):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=r"a\.npz: .*expected"):
        from_file(tmp_path / "a.npz")


def row(scheme: str, cells: str, area: float, energy: float) -> dict[str, object]:
    names = ("logic", "output_register", "input_register", "parameter_register")
    parts = {f"area_{name}_um2": area / 4 for name in names} | {
        f"energy_{name}_pj_per_op": energy / 4 for name in names
    }
    return parts | {
        "unit": "requant",
        "scheme": scheme,
        "cells": cells,
        "params": RequantParams(scheme=scheme).as_dict(),
        "area_um2": area,
        "area_nand2": area / 5,
        "delay_ns": 1.0,
        "energy_pj_per_op": energy,
        "internal": energy / 2,
        "switching": energy / 2,
        "leakage": 0.0,
        "area_with_input_um2": area + 10,
        "energy_with_input_pj_per_op": energy + 1,
        "ops": 7,
        "stimulus": "none",
        "verified": True,
    }


ROWS = [
    row("shift", "a", 10.0, 1.0),
    row("float32", "a", 150.0, 9.0),
    row("shift", "b", 20.0, 2.0),
    row("fixed8", "b", 30.0, 8.0),
]


def test_ratios_stay_within_a_library():
    found = ratios(ROWS, "shift", {"area": "area_um2", "energy": "energy_pj_per_op"})
    assert [(item["cells"], item["baseline"], item["figure"], item["ratio"]) for item in found] == [
        ("a", "float32", "area", 15.0),
        ("a", "float32", "energy", 9.0),
        ("b", "fixed8", "area", 1.5),
        ("b", "fixed8", "energy", 4.0),
    ]


def test_libraries_of_several_files(tmp_path):
    cells = REFERENCE.read_text()
    gates, registers = tmp_path / "gates.lib", tmp_path / "registers.lib"
    first, last = cells.index("  cell (ref_inv_1)"), cells.index("  cell (ref_dff_1)")
    gates.write_text(cells[:last] + "}\n")
    registers.write_text(cells[:first] + cells[last:])
    with pytest.raises(InputError, match=r"gates\.lib: .* no usable rising-edge D flip-flop"):
        library_paths([str(gates)])
    [joined] = library_paths([f"{gates},{registers}"])
    assert joined.name == "roundel_reference.lib"
    literal = tmp_path / "a,b.lib"
    literal.write_text(cells)
    assert library_paths([str(literal)]) == [literal], "a file's own name may have a comma"
    with pytest.raises(InputError, match="holds the library 'roundel_reference' as"):
        library_paths(["reference", f"{gates},{registers}"])


def test_report_files_hold_the_rows(tmp_path):
    write_report(ROWS, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text()) == ROWS
    with open(tmp_path / "report.csv", newline="") as stream:
        assert [line["scheme"] for line in csv.DictReader(stream)] == ["shift", "float32", "shift", "fixed8"]
    page = (tmp_path / "report.md").read_text()
    assert "| float32 | 15.00 |" in page
    pictures = sorted(file.name for file in tmp_path.glob("*.png"))
    assert pictures == ["requant_a.png", "requant_b.png"]
    assert all(name in page for name in pictures)


def test_reports_of_equal_rows_are_equal(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_report(ROWS, tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_variants_cover_all_schemes():
    assert [params.scheme for params in requant_variants({})] == list(Scheme)
    assert {params.acc_width for params in requant_variants({"acc_width": 24})} == {24}


def test_common_parameters_go_where_they_exist():
    variants = {params.scheme.value: params for params in requant_variants({"rounding": "floor", "relu": True})}
    assert variants["shift"].rounding is variants["fixed8"].rounding is Rounding.FLOOR
    assert variants["fixed32"].rounding is Rounding.HALF_AWAY
    assert variants["float32"].relu
    assert not variants["codebook"].relu


@pytest.mark.parametrize("name", ["scheme", "shift", "index_width"])
def test_what_makes_the_schemes_differ_cannot_be_set(name):
    with pytest.raises(InputError, match=f"{name} cannot be set"):
        requant_variants({name: 1})


def suppressor(scheme: str, energy: float | None, fpga: dict[str, object]) -> dict[str, object]:
    """A row of a suppression unit; without `energy`, of one too large to simulate."""
    names = ("energy_pj_per_op", "internal", "switching", "leakage", "energy_logic_pj_per_op")
    spent = dict.fromkeys((*names, "energy_registers_pj_per_op", "energy_clock_gates_pj_per_op"), energy)
    purposes = ("boxes", "windows", "queues")
    return {
        "unit": "greedy_nms" if "greedy" in scheme else "nms",
        "scheme": scheme,
        "params": NmsParams(format={"classes": 1}).as_dict(),
        "cells": "a",
        "gates": 4321,
        "area_um2": 3000.0,
        "area_nand2": 600.0,
        "area_registers_um2": 1000.0,
        "delay_ns": 9.0,
        "ops": 2000,
        "stimulus": "clusters",
        "cycles": 2000,
        "boxes_per_cycle": 1.0 if energy else 0.25,
        "memory_bits": 3072,
        "energy_tables_pj_per_op": 12.0,
        **{f"memory_bits_{name}": 1024 for name in purposes},
        **{f"energy_tables_{name}_pj_per_op": 4.0 for name in purposes},
        **spent,
        "verified": True,
        **fpga,
    }


PLACED = {"fpga": "ecp5", "lut": 10, "ff": 20, "dsp": 0, "bram": 30, "fmax_mhz": 101.25}
TOO_LARGE = PLACED | {"bram": 452, "fmax_mhz": None, "fpga_excess": {"DP16KD": 208}}
SUPPRESSORS = [
    suppressor("psrr parallel, 1 lane", 50.0, PLACED),
    suppressor("guarded parallel, 4 lanes", None, TOO_LARGE),
    suppressor("greedy, 1 lane", 400.0, PLACED),
]


def test_suppression_units_are_reported_beside_greedy(tmp_path, capsys):
    write_report(SUPPRESSORS, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text()) == SUPPRESSORS
    page = (tmp_path / "report.md").read_text()
    assert "![Area and energy of each suppression unit on a](nms_a.png)" in page
    assert (tmp_path / "nms_a.png").stat().st_size > 1000
    assert "| guarded parallel, 4 lanes | 3,000 | 600 | 1,000 | 3 | 9.00 | 0.25 | not measured: 4,321 cells |" in page
    assert "| psrr parallel, 1 lane | 1 | 1 | 1 | 0.125 | 1 |" in page  # of area, memory, speed, energy, tables
    assert "| guarded parallel, 4 lanes | 1 | 1 | 0.25 |  | 1 |" in page
    assert "79 pJ per box" in page
    assert "| guarded parallel, 4 lanes | 10 | 20 | 0 | 452 | does not fit (452 of 208 block RAM) |" in page
    assert "| psrr parallel, 1 lane | 10 | 20 | 0 | 30 | 101.2 |" in page
    shown(SUPPRESSORS)
    assert "nms on a" in capsys.readouterr().out


def test_what_an_fpga_has_too_few_of():
    assert frequency(PLACED) == "101.2"
    assert (
        frequency(TOO_LARGE | {"fpga_excess": {"TRELLIS_COMB": 83640}}) == "does not fit (10 of 83,640 look-up tables)"
    )


def test_suppression_units_take_no_stimulus_file(tmp_path):
    with pytest.raises(InputError, match=r"a\.npz: compare nms takes no stimulus file"):
        COMPARISONS["nms"]([], {}, False, 1, tmp_path / "a.npz")


def decoder(scheme: str, stimulus: str, speed: float, fpga: dict[str, object]) -> dict[str, object]:
    """A row of a decoder."""
    names = ("internal", "switching", "energy_logic_pj_per_op", "energy_registers_pj_per_op")
    return {
        "unit": "decoder",
        "scheme": scheme,
        "params": DecoderParams().as_dict(),
        "cells": "a",
        "area_um2": 4000.0,
        "area_nand2": 800.0,
        "area_registers_um2": 1500.0,
        "area_core_um2": 3000.0,
        "area_core_registers_um2": 1000.0,
        "area_core_logic_nand2": 400.0,
        "area_core_registers_nand2": 200.0,
        "delay_ns": 9.0,
        "delay_core_ns": 7.0,
        "ops": 32768,
        "stimulus": stimulus,
        "bits_per_weight": 1.5,
        "cycles": 100,
        "weights_per_cycle": speed,
        "energy_pj_per_op": 0.625,
        **dict.fromkeys(names, 0.25),
        "energy_clock_gates_pj_per_op": 0.125,
        "leakage": 0.0,
        "saved_sram_pj_per_op": 0.375,
        "saved_dram_pj_per_op": 50.0,
        "verified": True,
        **fpga,
    }


DECODERS = [
    decoder(scheme, stimulus, speed, PLACED)
    for scheme, speed in (("mask, 8 lanes", 8.0), ("rice, 16 lanes, 4 slices", 12.5))
    for stimulus in ("digits network", "Laplace, 90% zeros")
]


def test_decoders_are_reported_by_stimulus_their_size_once(tmp_path, capsys):
    write_report(DECODERS, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text()) == DECODERS
    page = (tmp_path / "report.md").read_text()
    assert "![Size, speed and area of each decoder on a](decoder_a.png)" in page
    assert (tmp_path / "decoder_a.png").stat().st_size > 1000
    assert page.count("| mask, 8 lanes | 4,000 | 800 | 1,500 | 400 | 200 | 9.00 | 7.00 |") == 1
    spent = "0.625 | 0.250 | 0.250 | 0.125 | 0.250 | 0.250 | 0.375 | 50.0 | yes |"
    assert f"| rice, 16 lanes, 4 slices | Laplace, 90% zeros | 1.500 | 12.50 | {spent}" in page
    assert page.count("| mask, 8 lanes | 10 | 20 | 0 | 30 | 101.2 |") == 1
    assert "Codes of 4 bits" in page
    shown(DECODERS)
    assert "decoder on a" in capsys.readouterr().out


def test_tables_of_the_pages_have_a_line_for_each_decoder():
    figures = runpy.run_path(str(MAKE / "figures.py"))
    lines = figures["decoder_packing"](DECODERS).splitlines()
    assert lines[0] == "|  | digits network | Laplace, 90% zeros |"
    assert lines[2:] == [
        "| `mask, 8 lanes` | 1.500 / 8.00 | 1.500 / 8.00 |",
        "| `rice, 16 lanes, 4 slices` | 1.500 / 12.50 | 1.500 / 12.50 |",
    ]
    assert figures["decoder_sizes"](DECODERS).splitlines()[2] == "| a: `mask, 8 lanes` | 800 | 400 | 200 | 9.0 | 7.0 |"
    assert "| a: `mask, 8 lanes` | 0.62 | 0.62 |" in figures["decoder_energy"](DECODERS)
    assert "| `mask, 8 lanes` | 0.38 / 50 | 0.38 / 50 |" in figures["decoder_traffic"](DECODERS)
    assert len(figures["on_fpga"](DECODERS).splitlines()) == 2 + 2
    bench = [
        measured(f"decoder.{name}", value, "", {"scheme": "relative, 16 lanes", "zeros": zeros})
        for zeros, speed, wait in ((0.0, 1.0, 26), (0.9, 8.75, 12))
        for name, value in (("weights_per_cycle", speed), ("cycles_between_streams", wait))
    ]
    assert figures["decoder_rates"](bench).splitlines()[2] == "| `relative, 16 lanes` | 1.00 | 8.75 | 12 to 26 |"


def test_decoders_take_no_stimulus_file(tmp_path):
    with pytest.raises(InputError, match=r"a\.npz: compare decoder takes no stimulus file"):
        COMPARISONS["decoder"]([], {}, False, 1, tmp_path / "a.npz")


def test_every_format_is_measured_on_every_stimulus():
    jobs = COMPARISONS["decoder"]([REFERENCE], {}, False, 1, None)
    assert len({job.name for job in jobs}) == len(jobs) == 5 * 5
    assert jobs[0].name == "mask, 8 lanes on reference.lib: digits network"
