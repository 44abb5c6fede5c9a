"""Switching activity of a netlist's nets, from the SAIF file that Verilator writes (`--trace-saif`)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roundel.golden.errors import InputError
from roundel.synth.mapping import ONE, ZERO, Netlist

_ITEM = re.compile(
    r"\(\s*INSTANCE\s+(?P<scope>\S+)"
    r"|\(\s*(?P<name>[^\s()]+)\s+\(\s*T0\s+(?P<low>\d+)\s*\)\s*\(\s*T1\s+(?P<high>\d+)\s*\)"
    r"(?:\s*\(\s*T\w\s+\d+\s*\))*\s*\(\s*TC\s+(?P<toggles>\d+)\s*\)(?:\s*\(\s*IG\s+\d+\s*\))?\s*\)"
    r"|(?P<open>\()|(?P<close>\))"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Activity:
    """What each net of a netlist did.

    Parameters
    ----------
    cycles
        Clock cycles observed.
    density
        Changes of value per cycle, shape `(nets,)`: 2 for the clock; not a number where nothing is known.
    probability
        Part of the time that the net was 1, shape `(nets,)`.
    """

    cycles: float
    density: NDArray[np.float64]
    probability: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not self.cycles > 0:
            raise ValueError(f"cycles must be positive, not {self.cycles}")


def read_saif(path: Path, netlist: Netlist, *, scope: str, cycles: float | None = None) -> Activity:
    """Read the activity of `netlist` from a SAIF file.

    Parameters
    ----------
    path
        The file.
    netlist
        Whose nets to look up, by name.
    scope
        Path of the netlist's instance in the file, such as `top/dut`.
    cycles
        Clock cycles that the file covers; by default half the toggles of the netlist's clock port.

    Raises
    ------
    InputError
        The file is missing, has no such instance, lacks a net that matters, or its clock never toggles.
    """
    density = np.full(netlist.size, np.nan)
    probability = np.full(netlist.size, np.nan)
    density[[ZERO, ONE]] = 0.0
    probability[[ZERO, ONE]] = 0.0, 1.0
    seen = False
    for name, low, high, toggles in _signals(path, scope):
        seen = True
        net = netlist.signals.get(name)
        if net is not None and net not in (ZERO, ONE):
            density[net] = toggles
            probability[net] = high / max(low + high, 1)
    if not seen:
        raise InputError(f"{path}: no instance {scope!r} with nets, expected the SAIF file of a run of {netlist.top}")
    cycles = _cycles(path, netlist, density) if cycles is None else cycles
    silent = np.flatnonzero(np.isnan(density) & (netlist.load > 0))
    if len(silent):
        name = next(name for name, net in netlist.signals.items() if net == silent[0])
        raise InputError(f"{path}: {len(silent)} nets of {netlist.top} are missing under {scope!r}, such as {name!r}")
    return Activity(cycles=cycles, density=density / cycles, probability=probability)


def _cycles(path: Path, netlist: Netlist, toggles: NDArray[np.float64]) -> float:
    ports = [net for nets in netlist.inputs.values() for net in nets if net in netlist.clock_nets]
    if not ports or not np.nanmax(toggles[ports]) > 0:
        raise InputError(f"{path}: the clock of {netlist.top} never toggles, expected a run of at least one cycle")
    return float(np.nanmax(toggles[ports])) / 2


def _signals(path: Path, scope: str) -> Iterator[tuple[str, int, int, int]]:
    """Name, time at 0, time at 1 and number of toggles of every net directly within `scope`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}), expected a SAIF file") from error
    wanted = scope.split("/")
    scopes: list[str] = []
    depth: list[bool] = []  # of each open parenthesis: does it open an instance?
    for item in _ITEM.finditer(text):
        if item["scope"]:
            scopes.append(item["scope"])
            depth.append(True)
        elif item["open"]:
            depth.append(False)
        elif item["close"]:
            if not depth:
                raise InputError(f"{path}: not a SAIF file, parentheses do not match")
            if depth.pop():
                scopes.pop()
        elif scopes == wanted:
            yield item["name"].replace("\\", ""), int(item["low"]), int(item["high"]), int(item["toggles"])
    if depth:
        raise InputError(f"{path}: the SAIF file is cut short")
