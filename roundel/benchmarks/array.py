"""Runs schedules of beats on the RTL of the MAC array, behind a weight decoder or without."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from roundel.golden.errors import ToolError
from roundel.golden.mac import MacParams, Schedule, SparseMacParams
from roundel.golden.rounding import Ints
from roundel.hw.emit import manifest, to_verilog
from roundel.hw.mac import MacArray, SparseMac
from roundel.processes import run_folder
from roundel.sim.contract import PERIOD_NS
from roundel.sim.runner import Design, run


@dataclass(frozen=True, kw_only=True)
class Array:
    """A generated array.

    Attributes
    ----------
    name
        Name of the Verilog module.
    params
        What it was generated from: with a decoder before its weight port or without.
    latency
        Cycles from a beat to its result.
    verilog, manifest
        Its text, and what a user needs beside it.
    """

    name: str
    params: MacParams | SparseMacParams
    latency: int
    verilog: str = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)

    @property
    def design(self) -> Design:
        """The design that is simulated: this very text. `optimize=3` because whole layers run through it."""
        return Design(sources=(self.verilog,), top=self.name, optimize=3)


def generate_array(name: str, params: MacParams | SparseMacParams) -> Array:
    """Emit an array as Verilog, behind its decoder where there is one."""
    component = SparseMac(params) if isinstance(params, SparseMacParams) else MacArray(params)
    return Array(
        name=name,
        params=params,
        latency=component.latency,
        verilog=to_verilog(component, name),
        manifest=manifest(name, component, params),
    )


BENCH, SPARSE_BENCH = "roundel.sim.benches.tb_mac", "roundel.sim.benches.tb_sparse_mac"
SEED = 1  # of cocotb, which draws nothing here: beats are given and nobody stalls
OUTPUTS = "outputs.npz"  # what the bench leaves in its folder


@dataclass(frozen=True, kw_only=True, eq=False)
class Replay:
    """A schedule that ran on the RTL.

    Attributes
    ----------
    outputs
        Output beats (beats, columns) as they came, right or wrong.
    cycles
        From the end of reset to the last output.
    faults
        What the bench reported; empty when all is as golden says.
    speed
        Clock cycles that the simulation did in a second, the bench's own work included.
    """

    outputs: Ints
    cycles: int
    faults: tuple[str, ...]
    speed: float


def simulate(array: Array, beats: Schedule, stream: bytes | None = None) -> Replay:
    """Run a schedule through the RTL, without stalls.

    Parameters
    ----------
    array
        What is built.
    beats
        What is driven.
    stream
        The weights of a tile for an array behind a decoder: they come again for each tile, instead of those of `beats`.

    Raises
    ------
    ToolError
        The simulation crashed, or gave no results.
    """
    config: dict[str, Any] = {"params": array.params.as_dict(), "latency": array.latency}
    bench = BENCH if stream is None else SPARSE_BENCH
    with run_folder() as folder:
        beats.save(folder / "stimulus.npz")
        config["stimulus"] = str(folder / "stimulus.npz")
        if stream is not None:
            (folder / "stream.rws").write_bytes(stream)
            config["stream"] = str(folder / "stream.rws")
        result = run(array.design, bench, seed=SEED, config=config, folder=folder)
        if not (folder / OUTPUTS).exists():
            raise ToolError(f"{array.name} gave no results: {', '.join(result.failures)}\nlog: {folder / 'run.log'}")
        cycles, seconds = clock(folder)
        with np.load(folder / OUTPUTS) as archive:
            outputs, counted = archive["outputs"], int(archive["cycles"])
    return Replay(outputs=outputs, cycles=counted, faults=result.failures, speed=cycles / seconds)


def clock(folder: Path) -> tuple[int, float]:
    """Clock cycles that a bench, run in `folder`, took from start to end, and seconds."""
    cases = list(ElementTree.parse(folder / "results.xml").iter("testcase"))
    times = [item for case in cases for item in case.iter("property") if item.get("name") == "sim_time_duration"]
    cycles = sum(float(item.get("value", 0)) for item in times) / PERIOD_NS
    return round(cycles), sum(float(case.get("time", 0)) for case in cases)
