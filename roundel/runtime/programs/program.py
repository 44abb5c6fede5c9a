"""Whole programs, drawn at random from what docs/engine.md allows."""

from dataclasses import dataclass

import numpy as np

from roundel.golden.engine import (
    DESCRIPTOR_BYTES,
    HEADER_BYTES,
    RECORD,
    Descriptor,
    EngineParams,
    Item,
    Opcode,
    Program,
    Region,
    known_fields,
)
from roundel.runtime.programs.boxes import boxes
from roundel.runtime.programs.broken import Break, break_image, break_steps
from roundel.runtime.programs.compute import compute
from roundel.runtime.programs.draw import Draw
from roundel.runtime.programs.moves import move, whole_memory
from roundel.runtime.programs.order import chain
from roundel.runtime.programs.parts import Outside, Step

MOST = 24  # descriptors, END and those behind it among them
DATA = 1024  # bytes that may be read, and as many that may be written, besides whole memories and records
PAGE = 4096


@dataclass(frozen=True, kw_only=True)
class DrawnProgram:
    """A program in a piece of the outer memory of its own.

    Attributes
    ----------
    seed
        What it was drawn from.
    at
        Address of that piece, where the program begins.
    image
        Its bytes: program, data, streams; whole pages.
    bases
        Of all regions.
    writable
        Bytes of the piece that the program may write.
    broken
        What is wrong with it.
    whole
        Whether it begins by loading all of the activation memory, and ends by storing all of it.
    """

    seed: tuple[int, ...]
    at: int
    image: bytes
    bases: dict[Region, int]
    writable: range
    broken: Break | None
    whole: bool


def draw_program(
    params: EngineParams, seed: tuple[int, ...], at: int, *, whole: bool = True, broken: Break | None = None
) -> DrawnProgram:
    """Draw a program.

    Parameters
    ----------
    params
        The engine's.
    seed
        Of all choices.
    at
        Where the program begins in the outer memory, a multiple of 4096.
    whole
        Whether it begins by loading all of the activation memory, and ends by storing all of it.
    broken
        What is wrong with it, where it has something that can be broken in that way.
    """
    draw = Draw(np.random.default_rng(seed))
    records = 0 if params.nms is None else RECORD.size * (params.nms.capacity + 1)
    memory = params.memory if whole else 0
    room = HEADER_BYTES + MOST * DESCRIPTOR_BYTES
    outside = Outside(
        params=params,
        draw=draw,
        at=at,
        room=room,
        read=DATA + memory,
        written=DATA + records + memory + params.bus_bytes,
    )
    steps = _steps(draw, outside)
    if whole:
        steps.insert(0, whole_memory(outside, Opcode.LOAD, room))
        steps.append(whole_memory(outside, Opcode.STORE, outside.data.stop - memory))
        if steps[-2].unit == 0:
            steps.insert(-1, compute(draw, outside))
        if steps[1].unit == 2:
            steps.insert(1, compute(draw, outside))
    chain(draw, steps)
    if broken is not None:
        break_steps(draw, outside, steps, broken)
    packed = _packed(draw, params, steps)
    if broken is not None:
        break_image(draw, params, packed, len(steps) + 1, broken)
    outside.image[: len(packed)] = packed
    size = -(-len(outside.image) // PAGE) * PAGE
    return DrawnProgram(
        seed=seed,
        at=at,
        image=bytes(outside.image).ljust(size, b"\0"),
        bases=outside.bases,
        writable=outside.writable,
        broken=broken,
        whole=whole,
    )


def _steps(draw: Draw, outside: Outside) -> list[Step]:
    """Descriptors, neighbours of neighbouring units, or of one."""
    steps, unit = list[Step](), draw.whole(0, 2)
    for _ in range(draw.whole(1, 12)):
        match unit:
            case 0:
                steps.append(move(draw, outside, Opcode.LOAD))
            case 2:
                steps.append(move(draw, outside, Opcode.STORE))
            case _ if outside.params.nms is not None and draw.chance(0.5 if outside.params.heads else 0.15):
                steps.append(boxes(draw, outside, last=draw.chance(0.6)))
            case _:
                steps.append(compute(draw, outside))
        unit = draw.of([near for near in (unit - 1, unit, unit + 1) if 0 <= near <= 2])
    return steps


def _packed(draw: Draw, params: EngineParams, steps: list[Step]) -> bytearray:
    """Header and descriptors, with anything in what is spare, and behind END."""
    made = [
        Descriptor(opcode=step.opcode, values=step.values | step.flags | _spare(draw, params, step.opcode))
        for step in steps
    ]
    made.append(Descriptor(opcode=Opcode.END, values={"layer": draw.field(24, 0)}))
    data = bytearray(Program(fingerprint=params.fingerprint, descriptors=tuple(made)).pack())
    for number, descriptor in enumerate(made):
        known = _all_fields(params, descriptor.opcode)
        used = -(-sum(item.bits for item in known) // 8)
        if draw.chance(0.5):
            start = HEADER_BYTES + number * DESCRIPTOR_BYTES
            data[start + used : start + DESCRIPTOR_BYTES] = draw.rng.bytes(DESCRIPTOR_BYTES - used)
    behind = draw.of([0, 0, 1, MOST - len(made)])
    data[12:16] = (len(made) + behind).to_bytes(4, "little")
    return data + draw.rng.bytes(behind * DESCRIPTOR_BYTES)


def _spare(draw: Draw, params: EngineParams, opcode: Opcode) -> dict[str, int]:
    """Fields that nothing depends on."""
    ignored = ["spare", "layer", *([] if params.act_lanes else ["activation"])]
    ignored += [] if params.gates else ["has_gate", "flip_gate"]
    ignored += [] if params.sums else ["has_sums", "flip_sums", "sums"]
    ignored += [] if params.beat_words > 1 else ["split", "word_"]
    ignored += [] if params.select else ["wide_steps"]
    known = _all_fields(params, opcode)
    names = {item.name: item.bits for item in known if item.name.startswith(tuple(ignored))}
    return {name: draw.field(bits, 0) for name, bits in names.items()}


def _all_fields(params: EngineParams, opcode: Opcode) -> tuple[Item, ...]:
    """Return the fields that an engine with all its options knows; of BOXES those of this one."""
    units = dict.fromkeys(("activation", "gates", "sums", "words"), True)
    return known_fields(opcode, **units, heads=bool(params.heads))
