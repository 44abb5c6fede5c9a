"""A unit on a real board: the top module that reaches its ports through few pins, the PLL, the pin constraints.

The board is the ULX3S (Lattice LFE5U-85F-6BG381C): its pins are those of the board's published constraints, its PLL's
limits those of the ECP5 data sheet (Lattice FPGA-DS-02012).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roundel.golden.errors import InputError
from roundel.hw.emit import CLOCK_AND_RESET

BOARD, PART = "ULX3S", "LFE5U-85F-6BG381C"
CRYSTAL_MHZ = 25.0
LOWEST_MHZ, HIGHEST_MHZ = 3.125, 400.0  # of an output of the PLL
_VCO_MHZ = (400, 800)
_DIVIDERS = 128
_PINS: Mapping[str, tuple[str, str]] = {
    "clk_25mhz": ("G2", "PULLMODE=NONE"),
    "button": ("R1", "PULLMODE=DOWN"),  # FIRE1
    "scan_in": ("M1", "PULLMODE=UP"),  # TXD of the USB serial chip, which a computer can drive bit by bit
    "scan_clock": ("M3", "PULLMODE=UP"),  # its RTS
    "scan_apply": ("N1", "PULLMODE=UP"),  # its DTR
    "scan_out": ("L4", "PULLMODE=UP DRIVE=4"),  # its RXD
    "led[0]": ("B2", "PULLMODE=NONE DRIVE=4"),
    "led[1]": ("C2", "PULLMODE=NONE DRIVE=4"),
}


@dataclass(frozen=True, kw_only=True)
class Pll:
    """Dividers that make a frequency out of the board's 25 MHz.

    Parameters
    ----------
    vco
        Multiple of 25 MHz at which its oscillator runs.
    divider
        From there to the output.
    """

    vco: int
    divider: int

    @property
    def mhz(self) -> float:
        """The frequency at the output."""
        return CRYSTAL_MHZ * self.vco / self.divider


def find_pll(mhz: float) -> Pll:
    """Find the PLL settings whose frequency is nearest to `mhz` from below.

    Raises
    ------
    InputError
        No settings reach `mhz`.
    """
    if not LOWEST_MHZ <= mhz <= HIGHEST_MHZ:
        raise InputError(f"frequency: expected {LOWEST_MHZ:g} to {HIGHEST_MHZ:g} MHz, not {mhz:g}")
    low, high = (int(limit / CRYSTAL_MHZ) for limit in _VCO_MHZ)
    plls = [Pll(vco=vco, divider=divider) for vco in range(low, high + 1) for divider in range(1, _DIVIDERS + 1)]
    return max((pll for pll in plls if pll.mhz <= mhz), key=lambda pll: pll.mhz)


def constraints(top: str, pll: Pll | None) -> str:
    """Return the constraints of the board (LPF), as Lattice's tools and nextpnr read them.

    Parameters
    ----------
    top
        Name of the module on the pins.
    pll
        What makes the unit's clock; None: the board's own clock.
    """
    lines = [f"# {top} on {BOARD}, {PART}"]
    for port, (site, drive) in _PINS.items():
        lines += [f'LOCATE COMP "{port}" SITE "{site}";', f'IOBUF PORT "{port}" IO_TYPE=LVCMOS33 {drive};']
    if pll:
        lines.append(f'FREQUENCY PORT "clk_25mhz" {CRYSTAL_MHZ:g} MHz;')
    else:
        lines.append("# no FREQUENCY: placement works towards what it is told, so that its maximum is seen")
    return "\n".join(lines) + "\n"


def wrapper(unit: str, ports: Sequence[Mapping[str, Any]], pll: Pll | None) -> str:
    """Verilog of the top module `UNIT_ulx3s`.

    Parameters
    ----------
    unit
        Name of the unit's module.
    ports
        Its ports, as `roundel.hw.emit.ports` lists them.
    pll
        Makes the unit's clock; None: it is the board's 25 MHz.
    """
    given, shown = _places(ports, "in"), _places(ports, "out")
    widths = [max(1, sum(port["width"] for port, _ in places)) for places in (given, shown)]
    connections = [f".{port['name']}({bus}[{_slice(port, low)}])"
                   for bus, places in (("given", given), ("shown", shown)) for port, low in places]  # fmt: skip
    return _WRAPPER.format(
        unit=unit,
        board=BOARD,
        part=PART,
        ins=widths[0],
        outs=widths[1],
        length=max(*widths, 2),
        inputs=_table(given),
        outputs=_table(shown),
        clock=_clock(pll),
        connections=",\n    ".join((".clk(clk)", ".rst(rst)", *connections)),
    )


def _places(ports: Sequence[Mapping[str, Any]], direction: str) -> list[tuple[Mapping[str, Any], int]]:
    """Return the ports of a direction, but for clock and reset, and the bit of the chain at which each begins."""
    places, low = [], 0
    for port in ports:
        if port["direction"] == direction and port["name"] not in CLOCK_AND_RESET:
            places.append((port, low))
            low += port["width"]
    return places


def _slice(port: Mapping[str, Any], low: int) -> str:
    return f"{low + port['width'] - 1}:{low}"


def _table(places: Sequence[tuple[Mapping[str, Any], int]]) -> str:
    return "\n".join(f"//   {_slice(port, low):>9} {port['name']}" for port, low in places)


def _clock(pll: Pll | None) -> str:
    if pll is None:
        return "  assign clk = clk_25mhz;\n  assign locked = 1'b1;"
    return _PLL.format(mhz=pll.mhz, vco=pll.vco, phase=pll.vco - 1, divider=pll.divider, last=pll.divider - 1)


_WRAPPER = """\
// {unit} on the board {board} ({part}), written by `roundel generate --fpga ecp5`.
//
// The unit has {ins} bits of inputs and {outs} of outputs, more than wires lead out of a board. So a serial chain of
// {length} bits reaches all of them: this top shows that the unit fits a device and how fast it is there, and lets a
// computer try it bit by bit. In a design of your own, instantiate {unit} itself.
//
// scan_clock rises: the chain moves up by a bit. scan_in becomes bit 0; scan_out is the highest bit, {length} - 1.
// scan_apply rises: for one cycle of the unit's clock its inputs are the chain's bits. In all other cycles they are 0,
//   so that no stream moves. The chain takes the outputs of that cycle.
// All three may be as slow as you like; each must stay as it is for 4 cycles of the unit's clock at least.
// The button resets the unit. led[0] blinks with its clock, led[1] is on in reset.
//
// Inputs, and their bits in the chain when it is applied:
{inputs}
// Outputs, and their bits in the chain afterwards:
{outputs}
module {unit}_ulx3s(clk_25mhz, button, scan_clock, scan_in, scan_apply, scan_out, led);
  input clk_25mhz, button, scan_clock, scan_in, scan_apply;
  output scan_out;
  output [1:0] led;
  wire clk, locked;
{clock}

  reg [2:0] reset = 3'b111;
  always @(posedge clk) reset <= {{reset[1:0], button | ~locked}};
  wire rst = reset[2];

  reg [24:0] blink = 25'd0;
  always @(posedge clk) blink <= blink + 25'd1;
  assign led = {{rst, blink[24]}};

  reg [2:0] clock_line = 3'd0, apply_line = 3'd0;
  reg [2:0] in_line = 3'd0;
  reg shift = 1'b0, apply = 1'b0, taken = 1'b0;
  always @(posedge clk) begin
    clock_line <= {{clock_line[1:0], scan_clock}};
    apply_line <= {{apply_line[1:0], scan_apply}};
    in_line <= {{in_line[1:0], scan_in}};
    shift <= clock_line[1] & ~clock_line[2];
    apply <= apply_line[1] & ~apply_line[2];
    taken <= apply;
  end

  reg [{length}-1:0] chain = {length}'d0;
  reg [{ins}-1:0] given = {ins}'d0;
  wire [{outs}-1:0] shown;
  always @(posedge clk) begin
    given <= apply ? chain[{ins}-1:0] : {ins}'d0;
    if (taken) chain <= shown;
    else if (shift) chain <= {{chain[{length}-2:0], in_line[2]}};
  end
  assign scan_out = chain[{length}-1];

  {unit} unit(
    {connections}
  );
endmodule
"""

_PLL = """\
  wire feedback;
  // {mhz:g} MHz: 25 MHz times {vco}, divided by {divider}.
  (* ICP_CURRENT="12" *) (* LPF_RESISTOR="8" *) (* MFG_ENABLE_FILTEROPAMP="1" *) (* MFG_GMCREF_SEL="2" *)
  EHXPLLL #(
    .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"), .DPHASE_SOURCE("DISABLED"),
    .OUTDIVIDER_MUXA("DIVA"), .OUTDIVIDER_MUXB("DIVB"), .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD"),
    .CLKI_DIV(1), .CLKFB_DIV(1), .FEEDBK_PATH("CLKOP"),
    .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV({vco}), .CLKOP_CPHASE({phase}), .CLKOP_FPHASE(0),
    .CLKOS_ENABLE("ENABLED"), .CLKOS_DIV({divider}), .CLKOS_CPHASE({last}), .CLKOS_FPHASE(0)
  ) pll (
    .CLKI(clk_25mhz), .CLKFB(feedback), .CLKOP(feedback), .CLKOS(clk), .LOCK(locked),
    .RST(1'b0), .STDBY(1'b0), .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1),
    .PHASELOADREG(1'b1), .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0), .ENCLKOS(1'b0)
  );"""
