"""A unit on an FPGA board: top module, constraints, bitstream, and a report of what it takes and how fast it is."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from roundel.golden.errors import InputError
from roundel.synth.fpga import (
    BOARD,
    CRYSTAL_MHZ,
    PART,
    Built,
    build_ecp5,
    constraints,
    find_pll,
    nextpnr_version,
    wrapper,
)
from roundel.synth.mapping import yosys_version
from roundel.ui import write_json

RESOURCES = {"lut": "LUT4", "ff": "flip-flops", "dsp": "MULT18X18D", "bram": "DP16KD"}


@dataclass(frozen=True, kw_only=True)
class BoardBuild:
    """A unit that was built for a board.

    Parameters
    ----------
    unit, top
        Names of the unit and of the module around it.
    wrapper, lpf
        Texts of that module and of the constraints.
    clock_mhz
        What clocks the unit on the board.
    macs
        Products that its array forms in a cycle, 0 without an array.
    built
        Figures and files.
    """

    unit: str
    top: str
    wrapper: str
    lpf: str
    clock_mhz: float
    macs: int
    built: Built

    @property
    def lut_per_mac(self) -> float | None:
        """Look-up tables of the whole unit for each product of a cycle."""
        return self.built.unit.lut / self.macs if self.macs else None

    @property
    def met(self) -> bool:
        """Whether the longest path is short enough for the clock."""
        return self.built.fmax_mhz is None or self.built.fmax_mhz >= self.clock_mhz


def build_board(
    unit: str, verilog: str, ports: Sequence[Mapping[str, Any]], *, macs: int, mhz: float | None, reach_mhz: float
) -> BoardBuild:
    """Build `unit` for the board.

    Parameters
    ----------
    verilog, ports
        Text and ports of the unit, see `roundel.hw.emit`.
    macs
        Products that it forms in a cycle.
    mhz
        Frequency that a PLL makes, or the nearest below; None: the board's own clock.
    reach_mhz
        What placement works towards without a PLL.

    Raises
    ------
    InputError
        The device is too small, or `mhz` out of the PLL's range.
    """
    pll = None if mhz is None else find_pll(mhz)
    top = f"{unit}_ulx3s"
    around, lpf = wrapper(unit, ports, pll), constraints(top, pll)
    built = build_ecp5(unit, verilog, top, around, lpf, mhz=reach_mhz)
    if built.excess:
        missing = ", ".join(f"{name}: needs {needed}, has {held}" for name, (needed, held) in built.excess.items())
        raise InputError(f"unit {unit} does not fit the {PART} ({missing}): choose smaller parameters")
    clock = CRYSTAL_MHZ if pll is None else pll.mhz
    return BoardBuild(unit=unit, top=top, wrapper=around, lpf=lpf, clock_mhz=clock, macs=macs, built=built)


def write_board(board: BoardBuild, work: Path) -> None:
    """Write top module, constraints, report and, where the clock is met, the bitstream into `work`."""
    (work / f"{board.top}.v").write_text(board.wrapper, encoding="utf-8")
    (work / f"{board.unit}.lpf").write_text(board.lpf, encoding="utf-8")
    write_json(work / "fpga.json", report(board))
    for ending in ("config", "bit") if board.met else ("config",):
        shutil.copyfile(board.built.folder / f"{board.unit}.{ending}", work / f"{board.unit}.{ending}")


def report(board: BoardBuild) -> dict[str, Any]:
    """All figures, for `fpga.json`: frequencies in MHz, memories in bits."""
    built = board.built
    return {
        "unit": board.unit,
        "board": BOARD,
        "device": PART,
        "clock_mhz": board.clock_mhz,
        "fmax_mhz": built.fmax_mhz,
        "met": board.met,
        "lut_per_mac": board.lut_per_mac,
        "resources": {"unit": asdict(built.unit), "with_top": asdict(built.total), "device": asdict(built.device)},
        "memories": [asdict(memory) | {"bits": memory.bits} for memory in built.memories],
        "commands": list(built.commands),
        "tools": [yosys_version(), nextpnr_version()],
    }


def cells(board: BoardBuild) -> list[tuple[str, ...]]:
    """Rows of the table on the terminal: resource, of the unit, with the top module, of the device, part of it."""
    uses = [asdict(use) for use in (board.built.unit, board.built.total, board.built.device)]
    return [
        (title, *(f"{use[name]:,}" for use in uses), f"{uses[1][name] / uses[2][name]:.0%}")
        for name, title in RESOURCES.items()
    ]


def notes(board: BoardBuild) -> list[str]:
    """Return what the table does not say: frequency, look-up tables per product, memories that are not in block RAM."""
    lines = [f"maximum {board.built.fmax_mhz:.1f} MHz, clocked with {board.clock_mhz:g} MHz"]
    if not board.met:
        lines[0] += ": too fast, so there is no bitstream; try a lower --freq"
    if board.lut_per_mac is not None:
        lines.append(f"{board.lut_per_mac:.0f} LUT4 for each of {board.macs:,} products in a cycle")
    for home in ("LUT RAM", "flip-flops"):
        held = [memory for memory in board.built.memories if memory.home == home]
        if held:
            names = ", ".join(f"{memory.name} {memory.depth} x {memory.width}" for memory in held)
            lines.append(f"{sum(memory.bits for memory in held):,} bits in {home}: {names}")
    return lines
