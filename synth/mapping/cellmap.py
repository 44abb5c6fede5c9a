"""Verilog that ties Yosys to the cells of a library: mapping rules for special cells, and simulation models."""

import re
from collections.abc import Iterable
from pathlib import Path

from roundel.synth.cells import Kind, Library, Match
from roundel.synth.mapping.yosys import cached_run, run_yosys, yosys_version

RIPPLE_CARRY = r"""
// Carries one after the other: the smallest adder, and the one that full-adder cells fit.
module \$lcu (P, G, CI, CO);
  parameter WIDTH = 2;
  input [WIDTH-1:0] P, G;
  input CI;
  output [WIDTH-1:0] CO;
  wire [WIDTH:0] C = {CO, CI};
  assign CO = G | (P & C[WIDTH-1:0]);
endmodule
"""

_RESET_BEFORE_ENABLE = r"""
module \$_SDFFE_PP{value}P_ (D, C, R, E, Q);
  input D, C, R, E;
  output Q;
  \$_DFFE_PP_ flip_flop (.D(R ? 1'b{value} : D), .C(C), .E(E | R), .Q(Q));
endmodule
"""
# A synchronous reset becomes data, and enables: only then can the clock be gated.
RESET_BEFORE_ENABLE = _RESET_BEFORE_ENABLE.format(value=0) + _RESET_BEFORE_ENABLE.format(value=1)


SPLIT_FULL_ADDERS = r"""
(* techmap_celltype = "$fa" *)
module split_full_adders (A, B, C, X, Y);
  parameter WIDTH = 1;
  input [WIDTH-1:0] A, B, C;
  output [WIDTH-1:0] X, Y;
  wire _TECHMAP_FAIL_ = WIDTH == 1;
  genvar i;
  generate for (i = 0; i < WIDTH; i = i + 1) begin : bits
    \$fa #(.WIDTH(1)) adder (.A(A[i]), .B(B[i]), .C(C[i]), .X(X[i]), .Y(Y[i]));
  end endgenerate
endmodule
"""
# Yosys' carry-save trees (`maccmap`) feed constants to full adders: those are half adders or wires, not cells.
CONSTANT_FULL_ADDERS = r"""
(* techmap_celltype = "$fa" *)
module constant_full_adders (A, B, C, X, Y);
  parameter WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_A_ = 0;
  parameter _TECHMAP_CONSTMSK_B_ = 0;
  parameter _TECHMAP_CONSTMSK_C_ = 0;
  input A, B, C;
  output X, Y;
  wire _TECHMAP_FAIL_ = !(_TECHMAP_CONSTMSK_A_ | _TECHMAP_CONSTMSK_B_ | _TECHMAP_CONSTMSK_C_);
  assign Y = A ^ B ^ C;
  assign X = (A & B) | (A & C) | (B & C);
endmodule
"""


def full_adder_rule(adder: Match) -> str:
    """Return the techmap rule from `$fa` to the full-adder cell, bit by bit."""
    roles = zip("ABCXY", ("a", "b", "ci", "co", "s"), strict=True)
    pins = ", ".join(f".{adder.pins[role]}({port}[i])" for port, role in roles)
    return rf"""
module \$fa (A, B, C, X, Y);
  parameter WIDTH = 1;
  input [WIDTH-1:0] A, B, C;
  output [WIDTH-1:0] X, Y;
  genvar i;
  generate for (i = 0; i < WIDTH; i = i + 1) begin : bits
    {adder.cell.name} cell ({pins});
  end endgenerate
endmodule
"""


def mux4_rule(mux: Match) -> str:
    r"""Return the techmap rule from `$_MUX4_` to the 4:1 multiplexer cell."""
    roles = zip("ABCDSTY", "abcdsty", strict=True)
    pins = ", ".join(f".{mux.pins[role]}({port})" for port, role in roles)
    return f"""
module \\$_MUX4_ (A, B, C, D, S, T, Y);
  input A, B, C, D, S, T;
  output Y;
  {mux.cell.name} cell ({pins});
endmodule
"""


def no_buffers_rule(library: Library) -> str:
    """Techmap rules that turn every buffer into a wire: ABC puts one wherever two outputs share a driver."""
    rules = []
    for cell in library.usable(Kind.COMB):
        source = cell.outputs[0].function if len(cell.inputs) == len(cell.outputs) == 1 else None
        if source and source.passes:
            a, y = source.passes, cell.outputs[0].name
            rules.append(f"module {cell.name}(input {a}, output {y}); assign {y} = {a}; endmodule\n")
    return "".join(rules)


def aoi222_rule(gate: Match) -> str:
    """Return the techmap rule from a one-hot multiplexer of three inputs to and-or-invert; ABC cancels the inverters.

    ABC finds no cells of six inputs by itself.
    """
    data = {"a": "B[i]", "c": "B[WIDTH+i]", "e": "B[2*WIDTH+i]"} | {"b": "S[0]", "d": "S[1]", "f": "S[2]"}
    pins = ", ".join(f".{gate.pins[role]}({net})" for role, net in data.items())
    return rf"""
(* techmap_celltype = "$pmux" *)
module one_hot_mux (A, B, S, Y);
  parameter WIDTH = 1, S_WIDTH = 1, _TECHMAP_CONSTMSK_A_ = 0, _TECHMAP_CONSTVAL_A_ = 0;
  input [WIDTH-1:0] A;
  input [WIDTH*S_WIDTH-1:0] B;
  input [S_WIDTH-1:0] S;
  output [WIDTH-1:0] Y;
  wire _TECHMAP_FAIL_ = S_WIDTH != 3 || !(&_TECHMAP_CONSTMSK_A_) || (|_TECHMAP_CONSTVAL_A_);
  wire [WIDTH-1:0] inverted;
  genvar i;
  generate for (i = 0; i < WIDTH; i = i + 1) begin : bits
    {gate.cell.name} cell ({pins}, .{gate.pins["y"]}(inverted[i]));
  end endgenerate
  assign Y = ~inverted;
endmodule
"""


def clock_gate_command(gate: Match, least_bits: int) -> str:
    """Return the Yosys command that gates the clock of groups of `least_bits` or more flip-flops with one enable."""
    pin = gate.pins
    test = f" -tie_lo {pin['test']}" if "test" in pin else ""
    roles = f"{pin['en']}:{pin['clk']}:{pin['y']}"
    return f"clockgate -pos {gate.cell.name} {roles}{test} -min_net_size {least_bits}"


def simulation_models(library: Library, liberty: Path, cells: Iterable[str]) -> str:
    """Verilog models of `cells`, two-valued and without delays.

    Yosys makes them from the functions in the Liberty file; clock gates, whose state tables it does not read, are
    written here. Flip-flops take their data by non-blocking assignment, and a clock gate's latch is transparent only
    while the clock is low, so a netlist with gated clocks simulates without races.
    """
    script = [
        f"read_liberty -overwrite -ignore_miss_func -ignore_miss_dir -ignore_miss_data_latch {liberty.resolve()}",
        "setattr -mod -unset whitebox -unset blackbox -unset liberty_cell =*",
        "write_verilog -noattr models.v",
    ]
    folder = cached_run("models", [yosys_version(), library.digest, *script[1:]], lambda work: run_yosys(work, script))
    text = (folder / "models.v").read_text(encoding="utf-8")
    known = {m[1]: m[0] for m in re.finditer(r"^module (\w+)\b.*?^endmodule\n", text, re.MULTILINE | re.DOTALL)}
    chosen = sorted(set(cells))
    gates = {name for name in chosen if library.cells[name].kind is Kind.CLOCK_GATE}
    return "\n".join(_clock_gate_model(library, name) if name in gates else known[name] for name in chosen)


def _clock_gate_model(library: Library, name: str) -> str:
    cell = library.cells[name]
    pins = {pin.gate_role: pin.name for pin in cell.pins.values() if pin.gate_role}
    enable = " | ".join(pins[role] for role in ("enable", "test") if role in pins)
    inputs = ", ".join(pin.name for pin in cell.inputs)
    return f"""module {name}(input {inputs}, output {pins["out"]});
  reg held;
  always_latch if (!{pins["clock"]}) held = {enable};
  assign {pins["out"]} = {pins["clock"]} & held;
endmodule
"""
