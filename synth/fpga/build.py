"""The whole FPGA flow of a unit on a board: synthesis, place and route, bitstream, and what it takes."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roundel.synth.fpga.nextpnr import (
    DEVICE,
    Packed,
    nextpnr_version,
    read_packed,
    require_nextpnr,
    run_ecppack,
    run_nextpnr,
)
from roundel.synth.mapping import LOG as YOSYS_LOG
from roundel.synth.mapping import cached_run, run_yosys, yosys_version

CELL_LUTS = {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6}  # four-input tables that a cell takes
_HOMES = {"DP16KD": "block RAM", "PDPW16KD": "block RAM", "TRELLIS_DPR16X4": "LUT RAM"}


@dataclass(frozen=True, kw_only=True)
class Use:
    """Look-up tables of four inputs, flip-flops, 18 x 18 multipliers and 18 kbit memories."""

    lut: int
    ff: int
    dsp: int
    bram: int


@dataclass(frozen=True, kw_only=True)
class MappedMemory:
    """A memory that is written, and what holds it: `block RAM`, `LUT RAM` or `flip-flops`."""

    name: str
    width: int
    depth: int
    home: str

    @property
    def bits(self) -> int:
        """What it holds."""
        return self.width * self.depth


@dataclass(frozen=True, kw_only=True)
class Built:
    """A unit that was synthesized inside its top module and, if it fits, placed, routed and made a bitstream.

    Parameters
    ----------
    folder
        `UNIT.config`, `UNIT.bit`, the logs.
    unit, total, device
        What the unit takes as synthesized, what all takes as packed, and what the device has.
    memories
        Those of the unit, the largest first.
    fmax_mhz
        What the longest path between registers allows; None for a design that does not fit.
    excess
        Of a design that does not fit: of what the device has too few, how many are needed and how many it has.
    commands
        Command lines that do the same.
    """

    folder: Path
    unit: Use
    total: Use
    device: Use
    memories: tuple[MappedMemory, ...]
    fmax_mhz: float | None
    excess: dict[str, tuple[int, int]]
    commands: tuple[str, ...]


def build_ecp5(unit: str, verilog: str, top: str, wrapper: str, lpf: str, *, mhz: float, seed: int = 1) -> Built:
    """Take `verilog` of the module `unit` inside the module `top` of `wrapper` to a bitstream.

    Parameters
    ----------
    lpf
        Constraints of the pins.
    mhz
        Frequency that placement works towards where `lpf` gives none; missing it is no error.
    seed
        Of the placement.

    Raises
    ------
    InputError
        nextpnr is not installed.
    ToolError
        A tool stopped: an error in the Verilog, or a crash.
    """
    require_nextpnr()
    script = _synthesis(unit, top)
    place = [*DEVICE, "--timing-allow-fail", "--json", f"{top}.json", "--lpf", f"{unit}.lpf", "--freq", f"{mhz:g}"]
    place += ["--seed", str(seed), "--textcfg", f"{unit}.config", "--report", "report.json"]
    pack = ["--compress", f"{unit}.config", f"{unit}.bit"]

    def make(folder: Path) -> None:
        for name, text in ((f"{unit}.v", verilog), (f"{top}.v", wrapper), (f"{unit}.lpf", lpf)):
            (folder / name).write_text(text, encoding="utf-8")
        run_yosys(folder, script)
        run_nextpnr(folder, place)
        if not read_packed(folder).excess:
            run_ecppack(folder, pack)

    commands = (f"yosys -p '{'; '.join(script)}'", " ".join(["nextpnr-ecp5", *place]), " ".join(["ecppack", *pack]))
    tools = [yosys_version(), nextpnr_version()]
    return _read(cached_run("bitstream", [*tools, verilog, wrapper, lpf, *commands], make), unit, top, commands)


def _synthesis(unit: str, top: str) -> list[str]:
    """Return the Yosys commands that map unit and top.

    The unit stays a module of its own, so that its cells can be counted and the wrapper takes nothing of it away.
    """
    synth = f"synth_ecp5 -top {top} -nowidelut"
    return [
        f"read_verilog {unit}.v {top}.v",
        f"setattr -mod -set keep_hierarchy 1 {unit}",
        f"{synth} -run :map_ram",
        f"json -o memories.json {unit}",
        f"{synth} -run map_ram:",
        f"write_json {top}.json",
    ]


def _read(folder: Path, unit: str, top: str, commands: tuple[str, ...]) -> Built:
    packed = read_packed(folder)
    clocks = [] if packed.excess else json.loads((folder / "report.json").read_text(encoding="utf-8"))["fmax"].values()
    total, device = _totals(packed)
    return Built(
        folder=folder,
        unit=_synthesized(_module(folder / f"{top}.json", unit)),
        total=total,
        device=device,
        memories=_memories(
            _module(folder / "memories.json", unit), (folder / YOSYS_LOG).read_text(encoding="utf-8"), unit
        ),
        fmax_mhz=min((clock["achieved"] for clock in clocks), default=None),
        excess={name: packed.resources[name] for name in packed.excess},
        commands=commands,
    )


def _module(path: Path, name: str) -> dict[str, Any]:
    module: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["modules"][name]
    return module


def _synthesized(module: dict[str, Any]) -> Use:
    cells = Counter(cell["type"] for cell in module["cells"].values())
    return Use(
        lut=sum(count * cells[name] for name, count in CELL_LUTS.items()),
        ff=cells["TRELLIS_FF"],
        dsp=cells["MULT18X18D"],
        bram=cells["DP16KD"],
    )


def _totals(packed: Packed) -> tuple[Use, Use]:
    """Return the resources that the packed design takes, and those of the device."""
    names = {"ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram": "DP16KD"}
    taken, held = ({name: packed.resources[long][place] for name, long in names.items()} for place in (0, 1))
    return Use(lut=packed.lut, **taken), Use(lut=packed.resources["TRELLIS_COMB"][1], **held)


def _memories(module: dict[str, Any], log: str, unit: str) -> tuple[MappedMemory, ...]:
    """List the memories that have a write port; tables that Yosys made of case statements have none."""
    homes = dict(re.findall(rf"^mapping memory {unit}\.(\S+) via \$__(\w+?)_$", log, re.M))
    memories = []
    for name, cell in module["cells"].items():
        values = cell["parameters"]
        if cell["type"] != "$mem_v2" or not int(values["WR_PORTS"], 2):
            continue
        home = _HOMES.get(homes.get(name, ""), "flip-flops")
        width, depth = int(values["WIDTH"], 2), int(values["SIZE"], 2)
        memories.append(MappedMemory(name=name, width=width, depth=depth, home=home))
    return tuple(sorted(memories, key=lambda memory: (-memory.bits, memory.name)))
