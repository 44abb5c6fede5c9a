"""Runs a compiled network on the RTL of the engine, image after image: what the outer memory holds, and the clock."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from roundel.compiler import Compiled, Regions
from roundel.golden.cycles import predict
from roundel.golden.engine import BASES, OFFSETS, Control, ErrorCode, Region, Status
from roundel.golden.errors import InputError, MismatchError
from roundel.golden.rounding import Ints
from roundel.processes import in_parallel
from roundel.sim.engine_run import MOST, PAGE, EngineRun, Row, control, place, simulate, whole_run
from roundel.ui import Done

OWN = (Region.INPUT, Region.OUTPUT, Region.SCRATCH)
"""Regions of which every image has one of its own."""
SLOWER = 4  # times what the cycle model says: far beyond any program that goes on
LEAST_LIMIT = 100_000  # cycles


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """The run of one image.

    Attributes
    ----------
    regions
        The outer memory afterwards.
    registers
        Registers of the engine, by name.
    rows
        Its descriptors, in the order in which they ended.
    """

    regions: Regions = field(repr=False)
    registers: dict[str, int]
    rows: tuple[Row, ...] = field(repr=False)

    @property
    def cycles(self) -> int:
        """Cycles from start to done."""
        return self.registers["cycles"]

    @property
    def dropped(self) -> bool:
        """Whether the box unit had to leave out a box."""
        return bool(self.registers["status"] & Status.DROPPED)


def run_frames(compiled: Compiled, images: Ints, done: Done = lambda _: None) -> list[Frame]:
    """Run a program for each of some images.

    A simulation runs several images one after the other, without a reset in between; there are as many simulations at
    a time as the machine has cores.

    Parameters
    ----------
    compiled
        The program.
    images
        As `Network.encode` gives them, at least one.
    done
        Called after each simulation with the images that are through: `batches(compiled, len(images))` times.

    Raises
    ------
    InputError
        The maps of one image do not fit into the simulated memory.
    MismatchError
        The engine stopped with an error, or did not come to its end.
    ToolError
        Build or simulation crashed.
    """

    def simulate_part(part: slice) -> list[Frame]:
        frames = _simulate(compiled, images[part])
        done(f"images to {part.stop} of {len(images)}")
        return frames

    return [frame for frames in in_parallel(simulate_part, batches(compiled, len(images))) for frame in frames]


def batches(compiled: Compiled, count: int) -> list[slice]:
    """Return the images of each simulation: equally many for each core, if they fit into the simulated memory."""
    pitch = sum(_pitch(compiled, region) for region in OWN)
    room = (MOST - compiled.sizes[Region.PROGRAM] - 16 * PAGE) // pitch
    if room < 1:
        raise InputError(
            f"images: {pitch} bytes for the maps of one do not fit into the {MOST} of the simulated memory: run them "
            "with --on golden"
        )
    size = min(room, -(-count // (os.cpu_count() or 1)))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def _pitch(compiled: Compiled, region: Region) -> int:
    """Bytes from an image's region to the next one's."""
    return max(1, -(-compiled.sizes[region] // PAGE)) * PAGE


def _simulate(compiled: Compiled, images: Ints) -> list[Frame]:
    held = [compiled.regions(image) for image in images]
    regions = {region: _stacked([image[region] for image in held], _pitch(compiled, region)) for region in OWN}
    regions[Region.PROGRAM] = held[0][Region.PROGRAM]
    bases, _ = place(regions)
    script: list[list[Any]] = []
    limit = _limit(compiled)
    for index in range(len(images)):
        script.append(control(Control.CLEAR))
        script += [
            ["write", OFFSETS[BASES[region]], bases[region] + index * _pitch(compiled, region)] for region in OWN
        ]
        script += whole_run(limit)
    run = simulate(compiled.params, regions, script=script)
    answers = np.reshape(run.answers, (len(images), len(OFFSETS))).tolist()
    registers = [dict(zip(OFFSETS, values, strict=True)) for values in answers]
    for index, values in enumerate(registers):
        check_ended(compiled, values, f"image {index}")
    return list(map(partial(_frame, compiled, run, registers), range(len(images))))


def _stacked(parts: Sequence[Any], pitch: int) -> Any:
    """Return the regions of all images, `pitch` bytes apart."""
    whole = np.zeros((len(parts), pitch), np.uint8)
    for row, part in zip(whole, parts, strict=True):
        row[: len(part)] = part
    return whole.ravel()


def _limit(compiled: Compiled) -> int:
    """Cycles after which a run will not come to its end any more."""
    _, cycles = predict(compiled.params, np.frombuffer(compiled.image, np.uint8))
    return LEAST_LIMIT + SLOWER * cycles


def check_ended(compiled: Compiled, registers: Mapping[str, int], what: str) -> None:
    """Raise MismatchError, with the error's name, place and layer, unless the engine says that it is done."""
    if registers["status"] & (Status.DONE | Status.ERROR) == Status.DONE:
        return
    code, index = registers["error_code"], registers["error_index"]
    name = ErrorCode(code).name.lower() if code in [error.value for error in ErrorCode] else f"code {code}"
    layer = compiled.tasks[index].layer if index < len(compiled.tasks) else ""
    where = f"descriptor {index}" + (f" (layer {layer})" if layer else "")
    raise MismatchError(f"{what}: the engine stopped: {name} at {registers['error_address']:#x}, {where}")


def _frame(compiled: Compiled, run: EngineRun, registers: Sequence[dict[str, int]], index: int) -> Frame:
    """Return what belongs to one image."""
    regions = {}
    for region in OWN:
        start = index * _pitch(compiled, region)
        regions[region] = run.regions[region][start : start + compiled.sizes[region]]
    regions[Region.PROGRAM] = run.regions[Region.PROGRAM]
    count = len(compiled.tasks)
    return Frame(regions=regions, registers=registers[index], rows=tuple(run.rows[index * count : (index + 1) * count]))
