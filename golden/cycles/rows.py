"""What the cycle model says of a descriptor, and what it reads from it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roundel.golden.engine import (
    KEEP,
    LAST,
    STEP,
    STEP_BYTES,
    WORDS,
    Descriptor,
    EngineParams,
    Opcode,
    column_bytes,
    step_bytes,
)


@dataclass(kw_only=True)
class Row:
    """A descriptor that ran.

    Attributes
    ----------
    index, opcode, layer
        Its number, its operation and its network layer's number.
    start, end
        Cycles in which it began and was through, counted from the start of the run.
    computing, waiting_weights, waiting_parameters, waiting_memory
        Of a COMPUTE: cycles in which the array multiplied, and waited for these.
    read_beats, write_beats
        On the bus, for this descriptor, its streams included.
    """

    index: int
    opcode: Opcode
    layer: int
    start: int = 0
    end: int = 0
    computing: int = 0
    waiting_weights: int = 0
    waiting_parameters: int = 0
    waiting_memory: int = 0
    read_beats: int = 0
    write_beats: int = 0


@dataclass(kw_only=True, eq=False)
class Job:
    """A descriptor on its way through the engine.

    Attributes
    ----------
    row, descriptor
        What is said of it, and what it says.
    loaded
        Whether the tables of a BOXES are there.
    """

    row: Row
    descriptor: Descriptor
    loaded: bool = False


def tiles(descriptor: Descriptor) -> list[tuple[int, int]]:
    """Width and height of every tile of a COMPUTE descriptor, in order."""
    widths = [descriptor.tile_w] * (descriptor.tiles_x - 1) + [descriptor.last_w]
    heights = [descriptor.tile_h] * (descriptor.tiles_y - 1) + [descriptor.last_h]
    return [(w, h) for h in heights for w in widths]


class TimedStep(NamedTuple):
    """A step: its `offset`, whether it takes a weight block from the stream, and the words of its beats."""

    offset: int
    takes: bool
    words: int = 1


def step_words(params: EngineParams, descriptor: Descriptor) -> int:
    """Return how many words of `STEP_BYTES` a step takes in the parameter stream of a COMPUTE."""
    return step_bytes(params.lanes if params.select and descriptor.wide_steps else 0) // STEP_BYTES


def timed_steps(params: EngineParams, data: NDArray[np.uint8], blocks: int, apart: int = 1) -> list[list[TimedStep]]:
    """Return the steps of each output block of a parameter stream, (bytes,); a step takes `apart` words of it."""
    words = np.frombuffer(data.tobytes(), STEP)
    skip, takes = params.columns * column_bytes(params) // STEP_BYTES, words["flags"] & KEEP == 0
    last, read = words["flags"] & LAST != 0, (words["flags"] // WORDS & 7) + 1
    if params.beat_words == 1:
        read = np.ones_like(read)
    steps, at = [], 0
    takes[skip] = True  # a tile's first step has nothing to keep
    for _ in range(blocks):
        at += skip
        end = at + apart * (int(last[at::apart].argmax()) + 1)
        inner = slice(at, end, apart)
        steps.append(list(map(TimedStep, words["offset"][inner].tolist(), takes[inner].tolist(), read[inner].tolist())))
        at = end
    return steps
