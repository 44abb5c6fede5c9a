"""ECP5: counts that are known beforehand, and errors."""

import importlib.util
import re

import pytest

from roundel.golden.errors import InputError, ToolError
from roundel.synth.fpga import place_ecp5
from roundel.synth.fpga.build import CELL_LUTS
from roundel.synth.fpga.ecp5 import FpgaOptions

MULTIPLY = """
module top(input clk, input signed [17:0] a, b, output reg signed [35:0] p);
  reg signed [17:0] x, y;
  always @(posedge clk) begin x <= a; y <= b; p <= x * y; end
endmodule
"""


@pytest.mark.needs("nextpnr")
def test_a_multiplier_takes_one_block():
    placed = place_ecp5(MULTIPLY, "top")
    assert (placed.dsp, placed.ff, placed.lut, placed.bram) == (1, 72, 0, 0)
    assert placed.synthesized["MULT18X18D"] == 1
    assert placed.fits
    # ECP5 data sheet: a registered 18 x 18 multiplier runs at some 200 MHz; without its own registers it is slower.
    assert placed.fmax_mhz is not None
    assert 80 < placed.fmax_mhz < 300


@pytest.mark.needs("nextpnr")
def test_without_blocks_it_takes_logic_carries_and_small_memories():
    verilog = (
        MULTIPLY.replace("17:0", "5:0").replace("35:0", "11:0").replace("input clk,", "input clk, we, output [3:0] r,")
    )
    memory = (
        "reg [3:0] little [0:15]; assign r = little[a[3:0]]; always @(posedge clk) if (we) little[b[3:0]] <= a[3:0];"
    )
    verilog = verilog.replace("endmodule", f"{memory} endmodule")
    placed = place_ecp5(verilog, "top", options=FpgaOptions(dsp=False, seed=2))
    assert (placed.dsp, placed.ff) == (0, 24)
    assert placed.lut_logic == placed.synthesized["LUT4"]
    assert placed.lut_carry == 2 * placed.synthesized["CCU2C"] > 0
    assert placed.lut_ram == 6 * placed.synthesized["TRELLIS_DPR16X4"] > 0
    assert placed.lut == sum(number * placed.synthesized[cell] for cell, number in CELL_LUTS.items())


@pytest.mark.needs("nextpnr")
def test_a_memory_takes_a_block_and_more_ports_than_pins_place():
    verilog = """
    module top(input clk, we, input [8:0] r, w, input [35:0] d, output reg [35:0] q, output [399:0] wide);
      reg [35:0] memory [0:511];
      assign wide = {400{we}};
      always @(posedge clk) begin if (we) memory[w] <= d; q <= memory[r]; end
    endmodule
    """
    placed = place_ecp5(verilog, "top")
    assert (placed.bram, placed.lut_ram, placed.dsp) == (1, 0, 0)


@pytest.mark.needs("nextpnr")
def test_paths_from_port_to_port_count_too():
    placed = place_ecp5("module top(input a, b, output y); assign y = a & b; endmodule", "top")
    assert (placed.lut, placed.ff) == (1, 0)
    assert placed.fmax_mhz is not None
    assert placed.fmax_mhz > 100
    # 32 bits of carry chain and what follows: no ECP5 does that within 2 ns (0.5 clock to output, 0.2 per table).
    chain = "module top(input [31:0] a, b, c, output y); assign y = ((a + b) ^ c) * 7 > b; endmodule"
    slow = place_ecp5(chain, "top", options=FpgaOptions(dsp=False))
    assert slow.ff == 0
    assert slow.fmax_mhz is not None
    assert slow.fmax_mhz < placed.fmax_mhz


@pytest.mark.needs("nextpnr")
def test_a_design_too_large_is_counted_and_has_no_frequency():
    verilog = """
    module top(input clk, we, input [16:0] r, w, input [35:0] d, output reg [35:0] q);
      reg [35:0] memory [0:512 * 209 - 1];
      always @(posedge clk) begin if (we) memory[w] <= d; q <= memory[r]; end
    endmodule
    """
    placed = place_ecp5(verilog, "top")
    assert not placed.fits
    assert placed.excess == {"DP16KD": 208}
    assert placed.bram == placed.synthesized["DP16KD"] >= 209
    assert placed.fmax_mhz is None
    assert placed.lut_logic > 0


@pytest.mark.needs("nextpnr")
def test_other_failures_of_nextpnr_show_what_it_says():
    flip_flop = '(* BEL="nowhere" *) TRELLIS_FF one(.CLK(clk), .DI(d), .Q(q));'
    nowhere = f"module top(input clk, d, output q); {flip_flop} endmodule"
    with pytest.raises(ToolError, match=r"nextpnr failed \(exit code \d+\):(?s:.*)ERROR") as caught:
        place_ecp5(nowhere, "top")
    assert re.search(r"logs: .*\.failed", str(caught.value))


def test_without_nextpnr_the_command_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"pip install 'roundel\[fpga\]'"):
        place_ecp5(MULTIPLY, "top")


def test_options_are_checked():
    with pytest.raises(ValueError, match="target_mhz must be positive, not 0"):
        FpgaOptions(target_mhz=0)
