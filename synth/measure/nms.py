"""Area, delay and energy of the suppression units, per box."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from roundel import sim, synth
from roundel.golden import nms as golden_nms
from roundel.golden.nms import ExactParams, GreedyParams, Suppression, TopKParams
from roundel.hw.emit import to_verilog
from roundel.hw.units import UNITS
from roundel.sim.nms_run import save_images
from roundel.sim.stimuli import BoxImage
from roundel.sim.verify import BENCHES
from roundel.synth.analysis import Memory, MemoryUse, analyse, memory_use
from roundel.synth.cells import read_library
from roundel.synth.mapping import Mapped, MappingOptions, map_design, read_netlist
from roundel.synth.measure.common import cached_row, code_digest, nand2_area, prove_and_estimate
from roundel.synth.measure.parts import PART_NAMES, SRAM_PJ_PER_BIT, energy_per_op

FLOW = MappingOptions(keep_trees=True)
"""3 % smaller than the default for one lane of each unit; other changes are worth less than 1 %, and minutes each."""
GATES = 30_000
"""Cells of the largest netlist that is simulated: Verilator takes a minute to build 20,000, and six for 54,000."""
MEMORIES = {"buffer": "boxes", "scan": "boxes", "sort": "boxes", "passes": "boxes", "pass": "windows"}
"""What a memory is for, by a word of its name; all others are queues."""

Params = Suppression | GreedyParams


@dataclass(frozen=True, kw_only=True, eq=False)
class BoxStream:
    """Images of boxes, sent back to back, and what they are, for the report.

    What a box costs is taken from all images but the first: what a run with all of them costs, less what a run with the
    first alone costs. So neither reset, nor the clearing of tables behind it, nor the filling of the pipeline count. To
    empty it takes both runs as long if the last image is the first one again.
    """

    source: str
    images: tuple[BoxImage, ...]

    def __post_init__(self) -> None:
        if len(self.images) < 2:
            raise ValueError(f"images must be at least 2, not {len(self.images)}")

    @property
    def boxes(self) -> int:
        """Boxes of all images but the first."""
        return sum(len(image) for image in self.images[1:])

    @property
    def runs(self) -> tuple[Callable[[Path], None], Callable[[Path], None]]:
        """What writes the stimulus file of the first image, and that of all images."""
        return (lambda path: save_images(path, self.images[:1])), (lambda path: save_images(path, self.images))


def measure_nms(unit: str, params: Params, cells: Path, stream: BoxStream) -> dict[str, Any]:
    """One row of a report: what a suppression unit costs per box.

    Area, delay and energy are those of logic and registers. Memories are macros: their bits are given, and
    `energy_tables_pj_per_op` is the bits that they move, counted in a simulation of the RTL, times `SRAM_PJ_PER_BIT`,
    reads and writes alike. The RTL is proven on the way. So is the netlist that the energy is measured on; one of more
    than `GATES` cells is not simulated: its energy columns are None, `verified` is then the RTL's.

    Parameters
    ----------
    unit, params
        `nms`, `exact_nms`, `topk` or `greedy_nms`.
    cells
        Liberty file.
    stream
        What to drive, without stalls.

    Raises
    ------
    MismatchError
        RTL or netlist differ from golden.
    ToolError
        A tool failed.
    """
    component = UNITS[unit].component(params)
    verilog = to_verilog(component, unit)
    key = _key(unit, params, verilog, stream)
    return cached_row(
        [read_library(cells).digest, *key], lambda: _row(unit, params, cells, verilog, component.latency, stream, key)
    )


def _key(unit: str, params: Params, verilog: str, stream: BoxStream) -> list[str | bytes]:
    """Return what a row depends on but for the cells: the Verilog, not the code of hw, which changes more often."""
    columns = (getattr(image, name) for image in stream.images for name in ("boxes", "scores", "labels"))
    return [
        *(code_digest(golden_nms, sim, synth), unit, json.dumps(params.as_dict()), verilog, stream.source),
        *(column.tobytes() for column in columns),
    ]


def _row(
    unit: str,
    params: Params,
    cells: Path,
    verilog: str,
    latency: int,
    stream: BoxStream,
    key: list[str | bytes],
) -> dict[str, Any]:
    library = read_library(cells)
    config = {"params": params.as_dict(), "latency": latency}
    mapped = map_design(verilog, unit, cells, options=FLOW)
    gates = sum(mapped.cells.values())
    return {
        "unit": unit,
        "scheme": nms_scheme(params),
        "params": params.as_dict(),
        "cells": library.name,
        "gates": gates,
        "area_um2": mapped.area_um2,
        "area_nand2": mapped.area_um2 / nand2_area(library, cells),
        "area_registers_um2": mapped.flip_flop_area_um2,
        "delay_ns": analyse(read_netlist(mapped.json, library, mapped.top)).delay_ns,
        "ops": stream.boxes,
        "stimulus": stream.source,
        **_memory_figures(unit, verilog, config, stream, key),
        **_energy(mapped, cells, config, stream, BENCHES[unit], measured=gates <= GATES),
        "flow": asdict(mapped.options),
    }


def nms_scheme(params: Params) -> str:
    """Name a row of the report: method, cascade or parallel, lanes or comparators."""
    if isinstance(params, ExactParams):
        return f"exact, {params.comparators} comparators"
    if isinstance(params, TopKParams):
        return f"{params.capacity} best"
    lanes = f"{params.lanes} lane{'s' if params.lanes > 1 else ''}"
    if isinstance(params, GreedyParams):
        return f"greedy, {lanes}"
    method = params.method if params.guard is None else f"{params.method} with a guard"
    return f"{method} cascade" if len(params.stages) > 1 else f"{method} parallel, {lanes}"


def _memory_figures(
    unit: str, verilog: str, config: Mapping[str, Any], stream: BoxStream, key: list[str | bytes]
) -> dict[str, Any]:
    """Cycles, what memories hold and what they move, from runs of the RTL; the same for every library."""

    def make() -> dict[str, Any]:
        bench = BENCHES[unit]
        first, longer = (memory_use(verilog, unit, bench=bench, config=config, stimulus=write) for write in stream.runs)
        return table_figures(first, longer, stream.boxes)

    return cached_row(["memories", *key], make)


def table_figures(first: MemoryUse, longer: MemoryUse, boxes: int) -> dict[str, Any]:
    """Return the columns of a row that come from memories.

    Parameters
    ----------
    first, longer
        Memory use of a run with one image, and of one with `boxes` boxes more.
    boxes
        By which accesses are divided.
    """
    cycles = longer.cycles - first.cycles
    bits = dict.fromkeys(("boxes", "windows", "queues"), 0)
    moved = dict(bits)
    for before, after in zip(first.memories, longer.memories, strict=True):
        bits[purpose(after)] += after.bits
        moved[purpose(after)] += after.moved - before.moved
    energy = {name: SRAM_PJ_PER_BIT * value / boxes for name, value in moved.items()}
    return {
        "cycles": cycles,
        "boxes_per_cycle": boxes / cycles,
        "memory_bits": sum(bits.values()),
        **{f"memory_bits_{name}": value for name, value in bits.items()},
        "energy_tables_pj_per_op": sum(energy.values()),
        **{f"energy_tables_{name}_pj_per_op": value for name, value in energy.items()},
    }


def purpose(memory: Memory) -> str:
    """Tell what a memory holds: `boxes` of the images in flight, best scores and winners of `windows`, or `queues`."""
    words = memory.name.split("_")
    return next((MEMORIES[word] for word in words if word in MEMORIES), "queues")


def _energy(
    mapped: Mapped, cells: Path, config: Mapping[str, Any], stream: BoxStream, bench: str, *, measured: bool
) -> dict[str, Any]:
    """Return the columns of a row that come from the netlist's activity."""
    if not measured:
        columns = ["energy_pj_per_op", "internal", "switching", "leakage"]
        columns += [f"energy_{part}_pj_per_op" for part in PART_NAMES]
        return dict.fromkeys(columns) | {"verified": True}
    first, longer = (
        prove_and_estimate(mapped, cells, bench=bench, config=config, stimulus=write) for write in stream.runs
    )
    return energy_per_op(first, longer, stream.boxes) | {"verified": longer.proof.passed}
