"""Runs a program on the RTL of the engine, from outside the simulator."""

import functools
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.engine import BASES, OFFSETS, UNITS, Control, EngineParams, Region
from roundel.golden.errors import InputError, MismatchError
from roundel.hw.emit import to_verilog
from roundel.hw.engine import flags
from roundel.processes import run_folder
from roundel.sim import cache, engine_top
from roundel.sim.emitted import verilog_sources
from roundel.sim.engine_top import SETTINGS, EngineTop
from roundel.sim.runner import Design, run

Bytes = NDArray[np.uint8]
PAGE = 4096
MOST = 1 << 26  # bytes of the simulated memory
FILLER = 0xA5  # between regions, where nothing may be written
LIMIT = 10_000_000  # cycles
QUIET = ("CMPCONST", "SYMRSVDWORD", "CASEINCOMPLETE")
"""Comparisons with the largest index of an array; a port named interrupt; state machines, which have no default."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A descriptor that ran.

    Attributes
    ----------
    index
        Its number in the program.
    unit
        One of `UNITS`.
    start, end
        Cycles in which it started and was through, counted from the simulation's start.
    flags
        In how many cycles of these each flag of the engine's activity was set, by name.
    """

    index: int
    unit: str
    start: int
    end: int
    flags: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class EngineRun:
    """What came of a run.

    Attributes
    ----------
    regions
        The outer memory afterwards, each region as (bytes,) uint8.
    answers
        What the script read, in order.
    rows
        Descriptors in the order in which they ended.
    """

    regions: dict[Region, Bytes]
    answers: list[int]
    rows: list[Row] = field(repr=False)

    @property
    def readings(self) -> list[dict[str, int]]:
        """All registers by name, each time that a script of `read_all` read them."""
        count = len(OFFSETS)
        sets = [self.answers[at : at + count] for at in range(0, len(self.answers), count)]
        return [dict(zip(OFFSETS, values, strict=True)) for values in sets]

    @property
    def registers(self) -> dict[str, int]:
        """All registers at the end."""
        return self.readings[-1]


def whole_run(limit: int = LIMIT) -> list[list[Any]]:
    """Return the script of a plain run: start, wait for the interrupt, read all registers.

    Parameters
    ----------
    limit
        Cycles after which the wait fails.
    """
    return [control(Control.START), ["wait", limit], *read_all()]


def control(bits: Control) -> list[Any]:
    """Return the step that writes `bits` to the control register."""
    return ["write", OFFSETS["control"], int(bits)]


def stall_seed(seed: int) -> int:
    """Return what the simulated memory, whose seed has fewer bits, takes for a seed of any size: itself if it fits."""
    if seed < 1 << SETTINGS["seed"]:
        return seed
    return int(np.random.SeedSequence(seed).generate_state(1)[0])


def read_all() -> list[list[Any]]:
    """Return steps that read all registers, in the order of their table."""
    return [["read", offset] for offset in OFFSETS.values()]


def place(regions: Mapping[Region, Bytes]) -> tuple[dict[Region, int], Bytes]:
    """Where each region begins in one memory, and that memory; a page or more lies between them."""
    bases, at = {}, PAGE
    for region in Region:
        bases[region] = at
        at += -(-len(regions.get(region, ())) // PAGE) * PAGE + PAGE
    if at > MOST:
        raise InputError(f"regions: {at} bytes do not fit into the {MOST} of the simulated memory")
    image = np.full(at, FILLER, np.uint8)
    for region, content in regions.items():
        image[bases[region] : bases[region] + len(content)] = content
    return bases, image


def simulate(
    params: EngineParams,
    regions: Mapping[Region, Bytes],
    *,
    script: Sequence[Sequence[Any]] | None = None,
    settings: Mapping[str, int] | None = None,
    seed: int = 1,
    trace: str | None = None,
    folder: Path | None = None,
) -> EngineRun:
    """Follow a script on the engine whose outer memory holds these regions.

    Parameters
    ----------
    params
        Of the engine, which is built if the cache does not hold it.
    regions
        Contents, program and weights in `Region.PROGRAM`; not changed.
    script
        See `roundel.sim.benches.tb_engine`; `whole_run` by default. The base registers and the interrupt are set
        before.
    settings
        Of the memory, see `roundel.sim.engine_top.SETTINGS`; 20 cycles of latency and no stalls by default.
    seed
        Of the memory's stalls, 0 or more.
    trace
        "vcd" for waves.
    folder
        Where to run, kept afterwards; a temporary one by default, kept only if something is wrong.

    Raises
    ------
    InputError
        The regions do not fit.
    MismatchError
        The script did not come to its end, or the engine wrote outside its regions.
    ToolError
        Build or simulation crashed.
    """
    bases, image = place(regions)
    setup = [["write", OFFSETS[name], bases[region]] for region, name in BASES.items()]
    setup.append(["write", OFFSETS["interrupt"], 1])
    steps = [*setup, *(whole_run() if script is None else script)]
    given = dict.fromkeys(SETTINGS, 0) | {"delay": 20, "seed": stall_seed(seed), "size": len(image)}
    given |= dict(settings or {})
    with run_folder(folder) as work:
        image.tofile(work / "memory.bin")
        result = run(
            design(params, trace),
            "roundel.sim.benches.tb_engine",
            seed=seed,
            config={"settings": given, "script": steps},
            folder=work,
        )
        if not result.passed:
            raise MismatchError(f"the engine's RTL: {result.failures[0]} (log in {work})")
        return _collect(work, regions, bases, image)


@functools.cache
def top_sources() -> list[str | bytes]:
    """Return what the Verilog of the simulated top depends on, beside the engine's parameters."""
    return [*verilog_sources(), inspect.getsource(engine_top)]


def design(params: EngineParams, trace: str | None = None) -> Design:
    """Return the simulated top of an engine.

    Parameters
    ----------
    params
        The engine's.
    trace
        "vcd" for waves.

    Returns
    -------
    Design
        The top's Verilog, kept in the cache under `params` and `top_sources`, and the SystemVerilog of memory
        and trace.
    """
    parts = [json.dumps(params.as_dict()), *top_sources()]

    def make(folder: Path) -> None:
        (folder / "engine.v").write_text(to_verilog(EngineTop(params), "engine_top"), encoding="utf-8")

    text = (cache.cached("engine", parts, make) / "engine.v").read_text(encoding="utf-8")
    text = "".join(f"/* verilator lint_off {name} */\n" for name in QUIET) + text
    return Design(sources=(text, *EngineTop.sources), top="engine_top", trace=trace)


def _collect(work: Path, regions: Mapping[Region, Bytes], bases: Mapping[Region, int], image: Bytes) -> EngineRun:
    after = np.fromfile(work / "dumped.bin", np.uint8)
    kept = np.ones(len(image), bool)
    for region, content in regions.items():
        kept[bases[region] : bases[region] + len(content)] = False
    strays = np.flatnonzero(kept & (after != image))
    if strays.size:
        raise MismatchError(f"the engine's RTL wrote outside its regions, first at {strays[0]:#x} (run in {work})")
    return EngineRun(
        regions={region: after[bases[region] :][: len(content)] for region, content in regions.items()},
        answers=json.loads((work / "answers.json").read_text(encoding="utf-8")),
        rows=_rows((work / "trace.txt").read_text(encoding="utf-8")),
    )


def _rows(text: str) -> list[Row]:
    """Pair the starts and ends of the simulation's trace: a row for each descriptor, in the order of the ends."""
    open_rows: dict[int, tuple[int, int, list[int]]] = {}
    rows = []
    for line in text.splitlines():
        cycle, unit, ended, number, *sums = map(int, line.split())
        if not ended:
            open_rows[unit] = cycle, number, sums
            continue
        start, begun, before = open_rows.pop(unit)
        assert begun == number, line
        counted = {name: now - then for name, now, then in zip(flags(), sums, before, strict=True)}
        rows.append(Row(index=number, unit=tuple(UNITS)[unit], start=start, end=cycle, flags=counted))
    return rows
