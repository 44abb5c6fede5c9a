"""Steps whose beats read several words: rows of a depthwise kernel that meet the array at once (docs/compiler.md).

The words of a beat lie in different banks. So the words from row to row of such a map are an odd number on chip.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import gcd
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roundel.compiler.area import tile_size
from roundel.compiler.operation import Operation
from roundel.compiler.step_weights import Steps, chunks, joined
from roundel.compiler.tensor import Storage
from roundel.golden.cycles import UNWRITTEN
from roundel.golden.engine import EngineParams, Opcode, field_limits

Column = NDArray[np.int8]  # (columns,): the weights of a tap, by output channel
Taps = dict[tuple[int, int], Column]  # by row, and by column of the map from the output's own


class KernelPart(NamedTuple):
    """Taps of an output block that are added up with one scale, from one plane."""

    plane: int
    scale: int
    taps: Taps


@dataclass(frozen=True, kw_only=True)
class Cut:
    """How the window of a depthwise operation is cut.

    Parameters
    ----------
    split
        Base-2 logarithm of the rows of a beat, at most.
    taps
        Taps of a row that a beat multiplies, at most.
    apart
        Rows of the map from word to word.
    stride
        Columns of the map from position to position.
    alone
        Whether each column of a kernel takes beats of its own, one a position; else beats go through a row.
    """

    split: int
    taps: int
    apart: int
    stride: int
    alone: bool

    @property
    def rows(self) -> int:
        """Rows of a beat, at most."""
        return 1 << self.split

    def groups(self, taps: Taps) -> Iterator[tuple[int, list[int]]]:
        """Give the first row and the columns of each step, each column at most `taps` before the last."""
        columns = chunks({column for _, column in taps}, 1 if self.alone else self.taps, 1)
        for first in chunks({row for row, _ in taps}, self.rows, self.apart):
            for group in columns:
                yield first[0], group

    def lead(self, parts: Sequence[Sequence[KernelPart]]) -> int:
        """Beats that fill the window before the first that computes."""
        groups = (group for block in parts for part in block for _, group in self.groups(part.taps))
        return max(group[-1] - group[0] for group in groups)

    def beats(self, tile: tuple[int, int], lead: int) -> int:
        """Beats of a step in a tile of so many rows and columns."""
        rows, columns = tile
        return rows * (columns if self.alone else (columns - 1) * self.stride + 1 + lead)


def widened(operations: Sequence[Operation], fixed: Collection[Storage], params: EngineParams) -> list[Operation]:
    """Return operations with several kernel rows in a beat where that takes fewer cycles; their maps get odd rows.

    Parameters
    ----------
    operations
        In their order.
    fixed
        Maps whose rows follow one another without gaps.
    params
        The engine.
    """
    held = {storage.root[0] for storage in fixed}
    held |= {operation.source.storage.root[0] for operation in operations if operation.runs}
    made = []
    for operation in operations:
        root = operation.source.storage.root[0]
        free = root not in held or root.columns % 2 == 1
        wide = _in_rows(operation, params) if free and _has_rows(operation) else None
        if wide is not None:
            root.odd_rows = True
        made.append(wide or operation)
    return made


def _has_rows(operation: Operation) -> bool:
    """Whether an operation adds up taps of several rows, channel by channel, of a map in planes."""
    other = operation.maximum or operation.upsample or operation.runs or operation.gate or operation.addend
    top, bottom, *_ = operation.reach
    return operation.depthwise and not other and bottom > top and not operation.source.storage.pixel


def _in_rows(operation: Operation, params: EngineParams) -> Operation | None:
    """Return a depthwise operation with several rows in a beat; None where that takes no fewer cycles."""
    lanes = params.lanes
    parts = [_parts(steps, operation, lanes) for steps in operation.steps]
    stride = operation.x_step * operation.every // lanes
    tile = tile_size(operation.target.storage, params.depth)
    best, least = None, operation.kept * max(operation.beats(*tile), UNWRITTEN)
    for cut in _cuts(parts, stride, params):
        steps = sum(sum(1 for _ in cut.groups(part.taps)) for block in parts for part in block)
        cycles = steps * max(cut.beats(tile, cut.lead(parts)), UNWRITTEN)
        if cycles < least:
            best, least = cut, cycles
    return None if best is None else _rewritten(operation, parts, best, lanes)


def _parts(steps: Steps, operation: Operation, lanes: int) -> list[KernelPart]:
    """Return the taps of an output block, those that are 0 left out."""
    found: dict[tuple[int, int, int], KernelPart] = {}
    for number, key in enumerate(zip(steps.plane.tolist(), steps.scale.tolist(), steps.repetition, strict=True)):
        part = found.setdefault(key, KernelPart(*key[:2], {}))
        last = int(steps.byte[number]) // lanes + operation.lead
        for age in np.flatnonzero(steps.weights[number].any(axis=0)).tolist():
            part.taps[int(steps.row[number]), last - age] = steps.weights[number, :, age]
    for part in found.values():
        if not part.taps:  # a block of zeros keeps a step
            part.taps[int(steps.row[0]), int(steps.byte[0]) // lanes] = steps.weights[0, :, 0]
    return list(found.values())


def _cuts(parts: Sequence[Sequence[KernelPart]], stride: int, params: EngineParams) -> Iterator[Cut]:
    """Give the ways to cut the window; words of a beat, an odd number of rows apart, lie in different banks."""
    rows = {row for block in parts for part in block for row, _ in part.taps}
    apart = gcd(*(row - min(rows) for row in rows)) or 1
    most = params.beat_words
    if apart % 2 == 0 or apart > field_limits(Opcode.COMPUTE, "word_rows")[1]:
        return
    for split in range(1, most.bit_length()):
        for alone in (False, True):
            if alone or stride <= field_limits(Opcode.COMPUTE, "every")[1]:
                yield Cut(split=split, taps=params.taps >> split, apart=apart, stride=stride, alone=alone)


def _rewritten(operation: Operation, parts: Sequence[Sequence[KernelPart]], cut: Cut, lanes: int) -> Operation:
    """Return the operation with the window cut so."""
    lead = cut.lead(parts)
    steps = tuple(joined([_steps(part, cut, lead, lanes) for part in block]).kept() for block in parts)
    beat: dict[str, Any] = (
        {"x_step": cut.stride * lanes, "every": 1} if cut.alone else {"x_step": lanes, "every": cut.stride}
    )
    return replace(
        operation, steps=steps, dense=sum(map(len, steps)), lead=lead, split=cut.split, word_rows=cut.apart, **beat
    )


def _steps(part: KernelPart, cut: Cut, lead: int, lanes: int) -> Steps:
    """Return the steps of some taps."""
    row, byte, words, held = [], [], [], []
    for first, group in cut.groups(part.taps):
        block, count = np.zeros((lanes, lanes), dtype=np.int8), 1
        for word in range(cut.rows):
            for column in group:
                weights = part.taps.get((first + word * cut.apart, column))
                if weights is not None:
                    block[:, word * cut.taps + group[-1] - column] = weights
                    count = word + 1
        row.append(first)
        byte.append((group[-1] - lead) * lanes)
        words.append(count)
        held.append(block)
    each = len(row)
    return Steps(
        plane=np.full(each, part.plane), row=np.array(row), byte=np.array(byte), weights=np.stack(held),
        scale=np.full(each, part.scale), words=np.array(words),
    )  # fmt: skip
