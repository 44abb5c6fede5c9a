"""Programs with one thing in them that docs/engine.md does not allow, which ends in an error code."""

from collections.abc import Iterator
from enum import Enum

from roundel.golden.engine import (
    DESCRIPTOR_BYTES,
    HEADER_BYTES,
    KEEP,
    LAST,
    STEP,
    TABLE_BYTES,
    EngineParams,
    Opcode,
    Region,
    column_bytes,
    step_bytes,
)
from roundel.runtime.programs.draw import Draw
from roundel.runtime.programs.parts import Outside, Step
from roundel.sim.stimuli import mutated, resized

HEADER = (0, 4, 6, 8)  # where magic, version, size of descriptors and fingerprint begin
OPCODES = 16
BEYOND = 1 << 26  # bytes of the simulated memory, behind which it answers with an error
MARGIN = 1 << 20  # bytes, more than the runs of a descriptor span


class Break(Enum):
    """What is wrong with a program. The streams' faults need a COMPUTE, or a BOXES with tables; the others do not."""

    HEADER = "header"
    OPCODE = "opcode"
    TRUNCATED = "truncated"
    WEIGHTS = "weights"
    PARAMETERS = "parameters"
    KEEP = "keep"
    READ = "read"
    STREAM = "stream"
    WRITE = "write"
    DEADLOCK = "deadlock"
    LOAD_OF_NOTHING = "load of nothing"


def break_steps(draw: Draw, outside: Outside, steps: list[Step], kind: Break) -> None:
    """Break descriptors or their streams, before they are packed, if there are any that this can be done to."""
    opcodes = {Break.READ: Opcode.LOAD, Break.LOAD_OF_NOTHING: Opcode.LOAD, Break.WRITE: Opcode.STORE}
    opcodes |= dict.fromkeys((Break.WEIGHTS, Break.PARAMETERS, Break.KEEP, Break.STREAM), Opcode.COMPUTE)
    tables = [step for step in steps if step.opcode is Opcode.BOXES and step.values.get("parameters_bytes")]
    steps = [step for step in steps if step.opcode is opcodes.get(kind, step.opcode)]
    if kind in (Break.PARAMETERS, Break.STREAM):
        steps += tables
    if kind in (Break.WEIGHTS, Break.STREAM):
        steps = [step for step in steps if not step.values.get("has_gate")]
    if kind is Break.WEIGHTS:  # damaged weights may be such as a depthwise layer must not have
        steps = [step for step in steps if not step.values["depthwise"]]
    if not steps:
        return
    step = steps[draw.whole(0, len(steps) - 1)]
    match kind:
        case Break.WEIGHTS:
            stream = outside.content("weights", step.values)
            stream = (mutated if draw.chance(0.7) else resized)(draw.rng, stream)
            step.values |= outside.stream("weights", stream)
        case Break.PARAMETERS:
            stream = outside.content("parameters", step.values)
            cut = draw.of([0, 1, 8, draw.whole(0, len(stream) - 1)])
            stream = stream[:cut] if draw.chance(0.5) else stream + draw.rng.bytes(1 + cut)
            step.values |= outside.stream("parameters", stream)
        case Break.KEEP:
            flipped = bytearray(outside.content("parameters", step.values))
            for at in _flags(outside.params, flipped, step.values):
                flipped[at] ^= KEEP * draw.chance(0.3)
            step.values |= outside.stream("parameters", bytes(flipped))
        case Break.READ | Break.WRITE:
            step.values |= _beyond(draw, outside, "")
        case Break.STREAM:
            prefixes = ("parameters_", "weights_") if step.opcode is Opcode.COMPUTE else ("parameters_",)
            step.values |= _beyond(draw, outside, prefixes[draw.whole(0, len(prefixes) - 1)])
        case Break.LOAD_OF_NOTHING:
            step.values["run_bytes"] = 0
        case Break.DEADLOCK:
            step.flags[("wait_previous", "wait_next")[draw.whole(0, 1)]] = 1
        case _:
            pass


def _flags(params: EngineParams, stream: bytes | bytearray, values: dict[str, int]) -> Iterator[int]:
    """Places of the flags of all steps in the parameter stream of a COMPUTE."""
    wide = params.lanes if values.get("wide_steps") and params.select else 0
    at = STEP.fields["flags"][1] + TABLE_BYTES * values.get("activation", 0)  # type: ignore[index]
    for _ in range(values["blocks"]):
        at += params.columns * column_bytes(params)
        last = False
        while not last:
            yield at
            last = bool(stream[at] & LAST)
            at += step_bytes(wide)


def _beyond(draw: Draw, outside: Outside, prefix: str) -> dict[str, int]:
    """Make the place of a descriptor one where there is no memory, nor near it."""
    bus = outside.params.bus_bytes
    offset = draw.whole(BEYOND + MARGIN, 2 * BEYOND) // bus * bus - outside.at
    return {f"{prefix}region": int(Region.PROGRAM), f"{prefix}offset": offset}


def break_image(draw: Draw, params: EngineParams, packed: bytearray, count: int, kind: Break) -> None:
    """Break header or descriptors as they are packed, of a program of so many descriptors, END among them."""
    match kind:
        case Break.HEADER:
            packed[draw.of(HEADER) + draw.whole(0, 1)] ^= draw.whole(1, 255)
        case Break.OPCODE:
            number = draw.whole(0, count - 1)
            low = int(Opcode.STORE) + 1
            opcode = int(Opcode.BOXES) if params.nms is None and draw.chance(0.5) else draw.whole(low, OPCODES - 1)
            at = HEADER_BYTES + number * DESCRIPTOR_BYTES
            packed[at] = packed[at] & 0xF0 | opcode
        case Break.TRUNCATED:
            packed[12:16] = draw.whole(0, count - 1).to_bytes(4, "little")
        case _:
            pass
