"""Many programs in one run of the simulator: what each made of its piece of the outer memory, and its registers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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
from roundel.runtime.programs.broken import Break
from roundel.runtime.programs.program import DrawnProgram, draw_program
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


def draw_batch(params: EngineParams, seed: int, *, sound: int, broken: int) -> list[DrawnProgram]:
    """Draw sound programs, then broken ones, then a sound one that sees all of the activation memory.

    Parameters
    ----------
    params
        The engine's.
    seed
        Of all choices, 0 or more.
    sound, broken
        How many there are, besides the last; the last sound one before the broken ones stores all of the memory, too.
    """
    kinds = [kind for kind in Break if kind is not Break.LOAD_OF_NOTHING]  # that takes 65,536 cycles to be noticed
    programs, at = list[DrawnProgram](), PAGE
    for number in range(sound + broken + 1):
        wrong = kinds[(seed + number) % len(kinds)] if sound <= number < sound + broken else None
        whole = number in (sound - 1, sound + broken)
        programs.append(draw_program(params, (seed, number), at, whole=whole, broken=wrong))
        at += len(programs[-1].image)
    return programs


def differences(
    params: EngineParams,
    programs: Sequence[DrawnProgram],
    *,
    settings: Mapping[str, int],
    seed: int,
    trace: str | None = None,
    folder: Path | None = None,
) -> list[str]:
    """Run programs on golden and on RTL, one after the other; a line for each whose outcomes differ.

    Parameters
    ----------
    params, programs, settings, seed, trace, folder
        As `run_rtl` takes them. The activation memory is carried from program to program.

    Raises
    ------
    MismatchError
        As `run_rtl`.
    """
    memory = np.zeros(params.memory, np.uint8)
    golden = [run_golden(params, program, memory) for program in programs]
    rtl = run_rtl(params, programs, settings=settings, seed=seed, trace=trace, folder=folder)
    lines = []
    for program, wanted, made in zip(programs, golden, rtl, strict=True):
        if line := difference(program, wanted, made):
            lines.append(f"program {program.seed}: {line}")
    return lines


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
    params: EngineParams,
    programs: Sequence[DrawnProgram],
    *,
    settings: Mapping[str, int],
    seed: int,
    trace: str | None = None,
    folder: Path | None = None,
) -> list[Outcome]:
    """Run programs one after the other on the RTL, each in its piece of one memory.

    Parameters
    ----------
    params
        The engine's.
    programs
        Of `draw_program`; the first at 4096, each other where the one before ends.
    settings, seed, trace, folder
        See `roundel.sim.engine_run.simulate`.

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
    run = simulate(
        params, {Region.PROGRAM: whole}, script=script, settings=settings, seed=seed, trace=trace, folder=folder
    )
    outcomes = []
    for number, program in enumerate(programs):
        answers = run.answers[number * len(READ) : (number + 1) * len(READ)]
        image = run.regions[Region.PROGRAM][program.at - PAGE :][: len(program.image)]
        outcomes.append(Outcome(registers=dict(zip(READ, answers, strict=True)), image=image))
    return outcomes


def difference(program: DrawnProgram, golden: Outcome, rtl: Outcome) -> str | None:
    """Return what differs first, in a line; None if all is equal.

    After an error neither boxes nor the data that the program may write are compared: units that ran side by side may
    have come further, or not so far. Nor are they where an earlier program may have left anything in the activation
    memory, which is so for a broken one that does not load all of it first; nor where a token too many is waited for,
    as this may let units run side by side that must not.
    """
    is_open = bool(golden.registers["error_code"]) or program.broken is Break.DEADLOCK
    is_open |= program.broken is not None and not program.whole
    made = rtl.registers | ({"boxes": golden.registers["boxes"]} if is_open else {})
    if is_open:
        made["status"] = made["status"] & ~Status.DROPPED | golden.registers["status"] & Status.DROPPED
    for name, value in golden.registers.items():
        later = program.broken is Break.STREAM and name == "error_index" and made[name] > value
        if made[name] != value and not later:  # streams are fetched ahead, and the error may name the next
            return f"{name}: RTL {made[name]:#x}, golden {value:#x}"
    wrong = np.flatnonzero(golden.image != rtl.image)
    if is_open:
        wrong = wrong[(wrong < program.writable.start) | (wrong >= program.writable.stop)]
    if not wrong.size:
        return None
    first = int(wrong[0])
    return (
        f"{wrong.size} bytes of the outer memory, first at {first:#x} of the program's piece (data from "
        f"{program.writable.start:#x} on are writable): RTL {rtl.image[first]:#x}, golden {golden.image[first]:#x}"
    )
