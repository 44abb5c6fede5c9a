"""Many programs in one run of the simulator: what each made of its piece of the outer memory, and its registers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.engine import (
    BASES,
    OFFSETS,
    Control,
    Engine,
    EngineFault,
    EngineParams,
    ErrorCode,
    ProgramError,
    Region,
    Status,
)
from roundel.runtime.programs.program import DrawnProgram
from roundel.sim.engine_run import PAGE, control, simulate

LIMIT = 400_000  # cycles of a program
READ = ("status", "error_code", "error_address", "error_index", "boxes")


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcome:
    """What an engine made of a program.

    Attributes
    ----------
    registers
        By name, those of `READ`.
    image
        Its piece of the outer memory afterwards, (bytes,).
    """

    registers: dict[str, int]
    image: NDArray[np.uint8] = field(repr=False)


def run_golden(params: EngineParams, program: DrawnProgram, memory: NDArray[np.uint8] | None = None) -> Outcome:
    """Run a program on the golden engine.

    Parameters
    ----------
    params
        The engine's.
    program
        Of `draw_program`.
    memory
        The activation memory before, (bytes,), changed in place; zeros by default.
    """
    image = np.frombuffer(program.image, np.uint8).copy()
    regions: dict[Region, Any] = dict.fromkeys(Region, image[:0]) | {Region.PROGRAM: image}
    engine = Engine(params=params, regions=regions, bases=program.bases)
    if memory is not None:
        engine.memory = memory
    code, address, index = ErrorCode.NONE, 0, 0
    try:
        engine.run()
    except EngineFault as fault:
        code, address, index = fault.code, fault.address, fault.index
    except ProgramError as refusal:
        code, address = refusal.code, refusal.address
    status = engine.status if code is ErrorCode.NONE else Status.ERROR
    values = (int(status), int(code), address, index, engine.boxes)
    return Outcome(registers=dict(zip(READ, values, strict=True)), image=image)


def run_rtl(
    params: EngineParams, programs: Sequence[DrawnProgram], *, settings: Mapping[str, int], seed: int
) -> list[Outcome]:
    """Run programs one after the other on the RTL, each in its piece of one memory.

    Parameters
    ----------
    params
        The engine's.
    programs
        Of `draw_program`; the first at 4096, each other where the one before ends.
    settings, seed
        Of the memory, see `roundel.sim.engine_run.simulate`.

    Raises
    ------
    MismatchError
        A program did not come to its end in time, or wrote beyond all programs.
    """
    script: list[list[Any]] = []
    for program in programs:
        script += [["write", OFFSETS[BASES[region]], base] for region, base in program.bases.items()]
        script += [control(Control.START), ["wait", LIMIT], *(["read", OFFSETS[name]] for name in READ)]
        script += [control(Control.CLEAR)]
    whole = np.frombuffer(b"".join(program.image for program in programs), np.uint8)
    run = simulate(params, {Region.PROGRAM: whole}, script=script, settings=settings, seed=seed)
    outcomes = []
    for number, program in enumerate(programs):
        answers = run.answers[number * len(READ) : (number + 1) * len(READ)]
        image = run.regions[Region.PROGRAM][program.at - PAGE :][: len(program.image)]
        outcomes.append(Outcome(registers=dict(zip(READ, answers, strict=True)), image=image))
    return outcomes


def difference(program: DrawnProgram, golden: Outcome, rtl: Outcome) -> str | None:
    """Return what differs first, in a line; None if all is equal."""
    for name, value in golden.registers.items():
        if rtl.registers[name] != value:
            return f"{name}: RTL {rtl.registers[name]:#x}, golden {value:#x}"
    wrong = np.flatnonzero(golden.image != rtl.image)
    if golden.registers["error_code"]:  # other units may have come further, or not so far
        wrong = wrong[(wrong < program.writable.start) | (wrong >= program.writable.stop)]
    if not wrong.size:
        return None
    first = int(wrong[0])
    return (
        f"{wrong.size} bytes of the outer memory, first at {first:#x} of the program's piece (data from "
        f"{program.writable.start:#x} on are writable): RTL {rtl.image[first]:#x}, golden {golden.image[first]:#x}"
    )
