"""Mapping to cells: netlists behave as the Verilog does, use the cells that they should, and are counted right."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from roundel.golden.errors import ToolError
from roundel.sim.runner import Design, run
from roundel.synth.cells import REFERENCE, read_library
from roundel.synth.mapping import Mapped, MappingOptions, map_design, map_smallest, mapping, run_tool
from roundel.synth.mapping.flow import BEST
from tests.support.toy import NAMES, real

# A little of everything that the flow treats in its own way.
EVERYTHING = """
module NAME(input clk, input rst, input en, input [31:0] stimulus, output reg signed [15:0] product,
            output reg [7:0] held, output reg [2:0] few, output [9:0] total, output reg picked, output reg [7:0] stored,
            output reg [7:0] coded, output constant);
  wire signed [7:0] a = stimulus[7:0];
  wire signed [7:0] b = stimulus[15:8];
  wire [3:0] address = stimulus[27:24];
  reg [7:0] memory [0:15];
  integer k;
  initial for (k = 0; k < 16; k = k + 1) memory[k] = 0;
  assign total = a + b + $signed(stimulus[23:16]);
  assign constant = 1'b1;
  always @(posedge clk) begin
    product <= rst ? 16'sd0 : product + a * b;
    if (rst) held <= 8'd7; else if (en) held <= a;
    if (en) few <= b[2:0];
    picked <= stimulus[address];
    if (en) memory[address] <= b;
    stored <= memory[address];
    case (address)
      4'd0: coded <= 8'h23;
      4'd3: coded <= 8'ha5;
      4'd9: coded <= 8'hff;
      default: coded <= {address, 4'h2};
    endcase
  end
endmodule
"""
OUTPUTS = {
    "product": 16, "held": 8, "few": 3, "total": 10, "picked": 1, "stored": 8, "coded": 8, "constant": 1,
}  # fmt: skip

VARIANTS = (
    MappingOptions(),
    MappingOptions(multiplier="rows", adder="prefix", mux4=False, abc="tables"),
    MappingOptions(multiplier="booth_array", full_adders=False, clock_gate_bits=None, abc="resynthesized"),
    MappingOptions(clock_gate_bits=1, abc="fast"),
)

MUX = """
module top(input [15:0] d, input [3:0] s, output y);
  assign y = d[s];
endmodule
"""

ADDERS = """
module top(input [7:0] a, b, c, output [7:0] s, co);
  assign s = a ^ b ^ c;
  assign co = a & b | (a ^ b) & c;
endmodule
"""

ENABLES = """
module top(input clk, x, y, input [7:0] d, output reg [7:0] q, output reg [2:0] r);
  always @(posedge clk) begin
    if (x) q <= d;
    if (y) r <= d[2:0];
  end
endmodule
"""


def count(mapped: Mapped, name: str) -> int:
    """How many cells have `name` in their type."""
    return sum(number for cell, number in mapped.cells.items() if name in cell)


def wrapper(tops: list[str]) -> str:
    """A module `lockstep` around the design `gold` and the netlists `tops`; bit k of `same`: netlist k agrees."""
    width = sum(OUTPUTS.values())
    instances = []
    for number, top in enumerate(["gold", *tops]):
        outputs, at = [], 0
        for name, bits in OUTPUTS.items():
            outputs.append(f".{name}(out{number}[{at} +: {bits}])")
            at += bits
        instances.append(f"wire [{width - 1}:0] out{number};")
        pins = f".clk(clk), .rst(rst), .en(en), .stimulus(stimulus), {', '.join(outputs)}"
        instances.append(f"{top} u{number}({pins});")
        if number:
            instances.append(f"assign same[{number - 1}] = out{number} === out0;")
    ports = f"input clk, rst, en;\ninput [31:0] stimulus;\noutput [{len(tops) - 1}:0] same;\n"
    return "module lockstep(clk, rst, en, stimulus, same);\n" + ports + "\n".join(instances) + "\nendmodule\n"


@pytest.mark.parametrize("name", NAMES)
def test_netlists_behave_as_the_design(name, tmp_path, seed):
    cells = real(name)
    tops = [f"variant{number}" for number in range(len(VARIANTS))]
    mapped = [
        map_design(EVERYTHING.replace("NAME", top), top, cells, options=options)
        for top, options in zip(tops, VARIANTS, strict=True)
    ]
    assert {m.memory_bits for m in mapped} == {16 * 8}
    models: dict[str, str] = {}
    for m in mapped:
        models |= {
            text.split("(")[0]: text for text in re.split(r"(?=^module )", m.models.read_text(), flags=re.MULTILINE)
        }
    sources = [
        EVERYTHING.replace("NAME", "gold"),
        wrapper(tops),
        *models.values(),
        *(m.netlist.read_text() for m in mapped),
    ]
    design = Design(sources=("\n".join(sources),), top="lockstep", optimize=0)
    result = run(
        design,
        "tests.support.benches.tb_lockstep",
        seed=seed,
        config={"cycles": 2000, "netlists": len(tops)},
        folder=tmp_path / "run",
    )
    assert result.passed, result.failures


def test_names_are_plain_and_ports_unchanged():
    text = map_design(EVERYTHING.replace("NAME", "top"), "top", REFERENCE).netlist.read_text()
    code = re.sub(r"/\*.*?\*/", "", text)
    assert not re.search(r"\bsigned\b|\\", code)
    assert "$" not in code
    assert "output [15:0] product;" in text
    assert "input [31:0] stimulus;" in text
    registers = re.findall(r"ref_dff_1 (\w+) ", text)
    assert {"held_7_reg", "product_0_reg", "few_2_reg"} <= set(registers)


def test_area_is_the_sum_of_the_cells():
    verilog = "module top(input clk, d, output reg q); always @(posedge clk) q <= ~d; endmodule"
    mapped = map_design(verilog, "top", REFERENCE)
    assert mapped.cells == {"ref_dff_1": 1, "ref_inv_1": 1}
    assert mapped.area_um2 == pytest.approx(26.0 + 3.9)
    assert mapped.flip_flop_area_um2 == pytest.approx(26.0)
    assert mapped.area_nand2 == pytest.approx(29.9 / 5.2)
    assert mapped.memory_bits == 0


@pytest.mark.parametrize("adder", ["ripple", "prefix"])
def test_full_adders_are_found(adder):
    options = MappingOptions(adder=adder)
    assert count(map_design(ADDERS, "top", REFERENCE, options=options), "ref_fa_1") == 8
    assert count(map_design(ADDERS, "top", REFERENCE, options=MappingOptions(full_adders=False)), "ref_fa_1") == 0
    # n numbers of one bit: one full adder per carry, at least n minus the number of ones in n
    ones = "module top(input [6:0] d, output [2:0] n); assign n = d[0]+d[1]+d[2]+d[3]+d[4]+d[5]+d[6]; endmodule"
    assert count(map_design(ones, "top", REFERENCE, options=MappingOptions(multiplier="rows")), "ref_fa_1") >= 3


def test_multiplexer_trees_use_the_cell():
    assert count(map_design(MUX, "top", REFERENCE), "ref_mux4_1") == 5
    assert count(map_design(MUX, "top", REFERENCE, options=MappingOptions(mux4=False)), "ref_mux4_1") == 0


def test_clocks_are_gated_from_the_number_of_bits_asked_for():
    gates = {
        bits: count(
            map_design(ENABLES, "top", REFERENCE, options=MappingOptions(clock_gate_bits=bits)), "ref_clkgate_1"
        )
        for bits in (None, 1, 3, 4, 8, 9)
    }
    assert gates == {None: 0, 1: 2, 3: 2, 4: 1, 8: 1, 9: 0}


def test_plain_flip_flops_on_a_library_with_resets_only():
    mapped = map_design(ENABLES, "top", real("sg13g2_typ_1p20V_25C"), options=MappingOptions(clock_gate_bits=1))
    assert count(mapped, "dfrbp") == 11
    assert count(mapped, "tiehi") == 1, "all resets share one constant"


def test_smallest_keeps_what_helps(monkeypatch):
    start = map_design(MUX, "top", REFERENCE)
    price = {"booth_array": -2.0, "rows": -1.0, "tables": -3.0, "swept": -1.0, "area_twice": 5.0}

    def priced(_verilog, _top, _cells, *, options):
        options = options or MappingOptions()
        area = 20.0 + price.get(options.multiplier, 0) + price.get(options.abc, 0) + (not options.full_adders)
        return replace(start, options=options, area_um2=area - 0.5 * (not options.mux4))

    monkeypatch.setattr(mapping, "map_design", priced)
    best = map_smallest(MUX, "top", REFERENCE)
    assert best.options == MappingOptions(multiplier="booth_array", abc="tables", mux4=False)


def test_smallest_of_a_multiplier():
    verilog = "module top(input signed [7:0] a, b, output signed [15:0] y); assign y = a * b; endmodule"
    best = map_smallest(verilog, "top", REFERENCE)
    areas = {map_design(verilog, "top", REFERENCE, options=replace(best.options, **change)).area_um2 for change in BEST}
    assert len(areas) > 4, "the changes change nothing"
    assert best.area_um2 <= map_design(verilog, "top", REFERENCE).area_um2
    assert best == map_design(verilog, "top", REFERENCE, options=best.options)


def test_a_second_run_maps_nothing(monkeypatch):
    first = map_design(MUX, "top", REFERENCE)
    monkeypatch.setattr(mapping, "run_yosys", lambda *_: pytest.fail("mapped again"))
    assert map_design(MUX, "top", REFERENCE) == first


def test_the_library_file_may_be_packed():
    mapped = map_design(MUX, "top", real("sky130hd_tt"))
    assert mapped.cells.keys() <= read_library(real("sky130hd_tt")).cells.keys()


def test_bad_verilog_gives_the_last_lines_and_the_log():
    with pytest.raises(ToolError, match="syntax error") as caught:
        map_design("module top(input a; endmodule", "top", REFERENCE)
    logs = re.search(r"logs: (.*)", str(caught.value))
    assert logs
    assert "syntax error" in (Path(logs[1]) / "yosys.log").read_text()


def test_what_the_library_has_no_cell_for_is_named():
    printing = 'module top(input clk, d); always @(posedge clk) $display("%b", d); endmodule'
    with pytest.raises(ToolError, match=r"library roundel_reference has no cells for \$print in top"):
        map_design(printing, "top", REFERENCE)
    latch = "module top(input g, d, output reg q); always @* if (g) q = d; endmodule"
    with pytest.raises(ToolError, match="D latches are not supported"):
        map_design(latch, "top", REFERENCE)


def test_a_tool_that_hangs_or_crashes_is_reported(tmp_path):
    hang = [sys.executable, "-c", "print('working', flush=True); import time; time.sleep(60)"]
    with pytest.raises(ToolError, match=r"Tool failed \(no end after 1 s\):\nworking"):
        run_tool("Tool", hang, tmp_path, "tool.log", timeout_s=1)
    crash = [sys.executable, "-c", "import os; os.abort()"]
    with pytest.raises(ToolError, match=r"Tool failed \(signal 6\)"):
        run_tool("Tool", crash, tmp_path, "tool.log", timeout_s=60)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"multiplier": "wallace"}, "multiplier must be one of rows, booth, booth_array, not 'wallace'"),
        ({"adder": "skip"}, "adder must be one of ripple, prefix, not 'skip'"),
        ({"abc": "best"}, "abc must be one of .*, not 'best'"),
        ({"clock_gate_bits": 0}, "clock_gate_bits must be a positive integer or None, not 0"),
    ],
)
def test_options_are_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        MappingOptions(**wrong)
