"""The commands and rules of the flow: what is asked of Yosys follows from the options and from the library."""

import json
import re
import sys
from collections import Counter
from itertools import product

import pytest

from roundel.golden.errors import ToolError
from roundel.synth.cells import REFERENCE, Library, read_library
from roundel.synth.mapping import MappingOptions, cellmap, mapping, run_tool, yosys
from roundel.synth.mapping.flow import BEST, commands, rules
from tests.support.toy import TOY, real

FLAGS = ("full_adders", "keep_trees", "mux4", "aoi222")


@pytest.fixture
def toy(tmp_path) -> Library:
    (tmp_path / "toy.lib").write_text(TOY)
    return read_library(tmp_path / "toy.lib")


def has(script: list[str], text: str) -> bool:
    return any(text in command for command in script)


@pytest.mark.parametrize("flags", list(product([False, True], repeat=len(FLAGS))))
def test_each_cell_is_used_where_it_may_be(flags):
    library = read_library(REFERENCE)
    options = MappingOptions(**dict(zip(FLAGS, flags, strict=True)))
    adders, trees, mux4, aoi222 = flags
    script = commands("top", library, options)
    assert has(script, "-map aoi222.v") == aoi222
    assert has(script, "muxcover") == has(script, "-map mux4.v") == mux4
    assert has(script, "maccmap") == has(script, "-map split.v") == has(script, "-map constant.v") == (adders and trees)
    assert has(script, "extract_fa") == adders
    assert script.count("techmap -map full_adder.v") == adders + (adders and trees)
    if adders and trees:
        assert script.index("maccmap") < script.index("techmap -map full_adder.v") < script.index("opt -fast")
    files = set(re.findall(r"-map (\w+\.v)", " ".join(script)))
    assert files <= rules(library).keys(), "every file that is read is written"


def test_a_library_without_special_cells(toy):
    script = commands("top", toy, MappingOptions(keep_trees=True))
    for text in (
        "aoi222",
        "muxcover",
        "mux4",
        "maccmap",
        "extract_fa",
        "full_adder",
        "clockgate",
        "reset.v",
        "hilomap",
    ):
        assert not has(script, text), text
    assert rules(toy).keys() == {"ripple.v", "reset.v", "no_buffers.v"}
    assert {"dfflibmap -map-only -dont_use ND2_FORBIDDEN -liberty cells.lib"} <= set(script)
    [abc] = [command for command in script if command.startswith("abc ")]
    assert abc == "abc -liberty cells.lib -dont_use ND2_FORBIDDEN -script +strash;dc2;dch;amap,-m"


@pytest.mark.parametrize("value", ["0", "1"])
def test_a_constant_alone_is_not_mapped(value, tmp_path):
    tie = f'cell (TIE) {{ area : 1; pin (Y) {{ direction : output; function : "{value}"; }} }}'
    (tmp_path / "tie.lib").write_text(TOY.replace("  cell (INV)", f"{tie}  cell (INV)"))
    assert not has(commands("top", read_library(tmp_path / "tie.lib"), MappingOptions()), "hilomap")


def test_cells_that_may_not_be_used_are_named():
    library = read_library(REFERENCE)
    script = commands("top", library, MappingOptions())
    named = {tuple(re.findall(r"-dont_use (\w+)", command)) for command in script if "-liberty" in command}
    assert named == {("ref_clkgate_1",)}
    assert "hilomap -singleton -hicell ref_tiehi_1 Y -locell ref_tielo_1 Y" in script


@pytest.mark.parametrize("bits", [None, 1, 7])
def test_clocks_are_gated_if_asked_for(bits):
    script = commands("top", read_library(REFERENCE), MappingOptions(clock_gate_bits=bits))
    gates = [command for command in script if command.startswith("clockgate")]
    assert gates == ([f"clockgate -pos ref_clkgate_1 EN:CLK:GCLK -min_net_size {bits}"] if bits else [])
    assert has(script, "-map reset.v") == (bits is not None)


@pytest.mark.parametrize(
    ("multiplier", "wanted"),
    [("rows", []), ("booth", ["booth"]), ("booth_array", ["booth -lowpower t:$mul r:A_SIGNED=1 %i", "booth"])],
)
def test_multipliers(multiplier, wanted):
    script = commands("top", read_library(REFERENCE), MappingOptions(multiplier=multiplier))
    assert [command for command in script if command.startswith("booth")] == wanted


def test_adders():
    library = read_library(REFERENCE)
    assert has(commands("top", library, MappingOptions(adder="ripple")), "techmap -map ripple.v -map +/techmap.v")
    assert not has(commands("top", library, MappingOptions(adder="prefix")), "ripple.v")


def test_defaults_and_what_is_tried_beside_them():
    """docs/cells.md: booth, ripple, full adders, 4:1 multiplexers, clock gates from 4 bits, and-or-invert cells."""
    assert MappingOptions() == MappingOptions(
        multiplier="booth",
        adder="ripple",
        full_adders=True,
        keep_trees=False,
        mux4=True,
        aoi222=True,
        clock_gate_bits=4,
        abc="area",
    )
    for change in BEST:
        assert MappingOptions(**change) != MappingOptions(), "a change that changes nothing"
    assert len({json.dumps(change) for change in BEST}) == len(BEST) == 10


def test_both_values_of_a_reset_become_data():
    modules = re.findall(r"^module (\S+)", cellmap.RESET_BEFORE_ENABLE, re.M)
    assert modules == [r"\$_SDFFE_PP0P_", r"\$_SDFFE_PP1P_"]
    assert re.findall(r"\.D\(R \? 1'b(\d) : D\)", cellmap.RESET_BEFORE_ENABLE) == ["0", "1"]


def test_every_buffer_becomes_a_wire(toy):
    found = cellmap.no_buffers_rule(read_library(REFERENCE)).splitlines()
    assert found == [f"module ref_buf_{drive}(input A, output Y); assign Y = A; endmodule" for drive in (1, 2, 4, 8)]
    assert cellmap.no_buffers_rule(toy) == ""


GATE = """
  cell (GATE) {
    area : 4; clock_gating_integrated_cell : "latch_posedge_precontrol";
    pin (T) { direction : input; clock_gate_test_pin : true; }
    pin (E) { direction : input; clock_gate_enable_pin : true; }
    pin (C) { direction : input; clock_gate_clock_pin : true; }
    pin (held) { direction : internal; }
    pin (G) { direction : output; clock_gate_out_pin : true; }
  }
  cell (INV) {"""


def test_a_clock_gate_with_a_pin_for_tests(tmp_path):
    """The pin is tied low, and opens the gate as the enable does."""
    (tmp_path / "toy.lib").write_text(TOY.replace("  cell (INV) {", GATE, 1))
    library = read_library(tmp_path / "toy.lib")
    assert cellmap.clock_gate_command(library.clock_gate, 5) == "clockgate -pos GATE E:C:G -tie_lo T -min_net_size 5"
    lines = [line.strip() for line in cellmap._clock_gate_model(library, "GATE").splitlines()]
    assert lines[0] == "module GATE(input T, E, C, output G);"
    assert "always_latch if (!C) held = E | T;" in lines
    assert "assign G = C & held;" in lines


def test_models_of_the_cells_asked_for_do_not_depend_on_where_the_library_lies(tmp_path, monkeypatch):
    library = read_library(REFERENCE)
    keys, ran = [], []

    def cached_run(kind, key, make):
        keys.append((kind, *key))
        make(tmp_path)
        return tmp_path

    def run_yosys(folder, script):
        ran.extend(script)
        names = ("ref_inv_1", "ref_nand2_1", "ref_nand2_10")
        (folder / "models.v").write_text("".join(f"module {name} (a);\n  x;\nendmodule\n\n" for name in names))

    monkeypatch.setattr(cellmap, "cached_run", cached_run)
    monkeypatch.setattr(cellmap, "run_yosys", run_yosys)
    text = cellmap.simulation_models(library, REFERENCE, ["ref_nand2_1", "ref_clkgate_1", "ref_inv_1", "ref_inv_1"])
    modules = re.findall(r"^module (\w+)", text, re.M)
    assert modules == ["ref_clkgate_1", "ref_inv_1", "ref_nand2_1"]
    assert text.count("endmodule") == 3
    assert not any(REFERENCE.name in part for part in keys[0])
    assert [command for command in ran if str(REFERENCE.resolve()) not in command] == list(keys[0][3:])
    assert library.digest in keys[0]


def module(**counts: int) -> dict:
    return {"cells": {f"{kind}{k}": {"type": kind} for kind, count in counts.items() for k in range(count)}}


MEMORY = {"type": "$mem_v2", "parameters": {"WIDTH": "101", "SIZE": "10000"}}


def test_a_mapping_in_figures(tmp_path, toy):
    """Areas 1.5, 2 and 6: what the library has not, such as the memories' module, has no area."""
    modules = {"top": module(INV=3, ND2=4, DFF=2, top_memory=1), "top_memory": {"cells": {"a": MEMORY, "b": MEMORY}}}
    (tmp_path / "netlist.json").write_text(json.dumps({"modules": modules}))
    given = mapping._mapped(tmp_path, "top", toy, MappingOptions(adder="prefix"))
    assert list(given.cells.items()) == [("DFF", 2), ("INV", 3), ("ND2", 4), ("top_memory", 1)]
    assert (given.area_um2, given.flip_flop_area_um2, given.area_nand2) == (4.5 + 8 + 12, 12, 12.25)
    assert given.memory_bits == 2 * 5 * 16
    assert given.options.adder == "prefix"
    assert [path.name for path in (given.netlist, given.json, given.models)] == [
        *("netlist.v", "netlist.json", "models.v")
    ]


@pytest.mark.parametrize("extra", [{}, {"$print": 1, "$_DLATCH_P_": 2}])
def test_a_netlist_is_checked_and_completed(extra, tmp_path, toy, monkeypatch):
    asked = []

    def models(library, path, cells):
        asked.append((path, sorted(cells)))
        return "MODELS"

    monkeypatch.setattr(mapping, "simulation_models", models)
    modules = {"top": module(INV=1, DFF=2, top_memory=1, **extra)}
    (tmp_path / "netlist.json").write_text(json.dumps({"modules": modules}))
    (tmp_path / "netlist.v").write_text(
        "module top(a);\n  input signed [3:0] a;\n  wire signed b;\n  wire unsigned_c;\n"
    )
    if extra:
        with pytest.raises(ToolError, match=r"library toy has no cells for \$_DLATCH_P_, \$print in top"):
            mapping._finish(tmp_path, "top", toy)
        return
    mapping._finish(tmp_path, "top", toy)
    text = (tmp_path / "netlist.v").read_text()
    assert text == (
        "// verilator lint_off PINMISSING\nmodule top(a);\n  input [3:0] a;\n  wire b;\n  wire unsigned_c;\n"
    )
    assert (tmp_path / "models.v").read_text() == "MODELS"
    assert asked == [(tmp_path / "cells.lib", ["DFF", "INV"])]


def test_the_last_lines_of_a_tool_that_fails(tmp_path):
    command = [sys.executable, "-c", "for k in range(20): print('line', k)\nraise SystemExit(3)"]
    with pytest.raises(ToolError) as caught:
        run_tool("Tool", command, tmp_path, "tool.log", timeout_s=60)
    first, *lines = str(caught.value).splitlines()
    assert first == "Tool failed (exit code 3):"
    assert lines == [f"line {k}" for k in range(8, 20)]
    assert len((tmp_path / "tool.log").read_text().splitlines()) == 20


def test_a_tool_that_ends_well(tmp_path):
    command = [sys.executable, "-c", "print('said')"]
    assert run_tool("Tool", command, tmp_path, "tool.log", timeout_s=60) == "said\n"


def test_yosys_is_given_half_an_hour(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(yosys, "run_tool", lambda *given, timeout_s: asked.append((given[0], given[3], timeout_s)))
    yosys.run_yosys(tmp_path, ["one", "two"])
    yosys.run_yosys(tmp_path, ["one", "two"], timeout_s=7)
    assert asked == [("Yosys", "yosys.log", 1800), ("Yosys", "yosys.log", 7)]
    assert (tmp_path / "flow.ys").read_text() == "one\ntwo\n"


def test_finders_for_a_real_library_reach_the_flow():
    library = read_library(real("sky130hd_tt"))
    script = commands("top", library, MappingOptions())
    refused = Counter(cell.dont_use for cell in library.cells.values())[True]
    [abc] = [command for command in script if command.startswith("abc ")]
    assert abc.count("-dont_use") == refused > 5
