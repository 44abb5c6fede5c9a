"""Operations: the work of one COMPUTE on whole tensors, before they have addresses."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.compiler.area import Area, Tiling
from roundel.compiler.bursts import Bursts
from roundel.compiler.refusal import EngineError, wider_bias, wider_sums
from roundel.compiler.step_weights import Steps, repeats
from roundel.compiler.tensor import Tensor
from roundel.golden.activation import ActivationTable
from roundel.golden.cycles import UNWRITTEN
from roundel.golden.engine import STEP_BYTES, SUM_BITS, TABLE_BYTES, EngineParams, column_bytes
from roundel.golden.formats import signed_width
from roundel.golden.rounding import Ints

STREAM_PART = 9 / 8  # bytes of a weight stream for each weight, about
READ = ("row", "byte", "words")  # of a step
SUMMED = 1 << SUM_BITS - 8  # results of 8 bits that a sum holds


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """The work of one COMPUTE on whole tensors.

    Parameters
    ----------
    layer
        The network's layer that it belongs to.
    source, residual, target
        The operand, the tensor that is added (or None) and the result.
    addend
        A second source that lies as `source` does, or None: steps whose plane is that many planes behind the last one
        of `source` read it.
    gate
        Factors that are the weights, a plane for each output block, or None. The weights of `steps` only stand for them
        then, the same within a block; all steps of a block but the first lie beyond the map's border.
    sums
        A second result: sums of the rows of tiles, two planes for each output block, of lower and of upper digits; or
        None. Such an operation has one phase, and parts of whole rows.
    steps
        Steps of every output block, blocks of zeros left out, phase by phase.
    phases
        Output rows 0, phases, 2 * phases, ... are the first phase, 1, phases + 1, ... the second: each has steps of its
        own.
    across
        The same of output columns: each phase of the rows has so many of the columns, and steps for each of them.
    dense
        Number of steps including blocks of zeros.
    columns
        Bias, shift, residual_shift and the other parameters of the requantizer, (blocks, columns) each, for all phases
        or one phase after the other.
    stride
        Rows of the map from one output row of a phase to the next.
    x_step, every, lead
        See docs/engine.md.
    pad
        Value of the bytes outside of the map.
    low, high
        Clamp of the result, before `flip_target`; with an activation it does not count.
    leak
        See docs/engine.md.
    depthwise, maximum, upsample, flip_target
        See docs/engine.md.
    runs
        0, or: the words of a plane count as one row, which the steps read one behind the other; all of them for the one
        result of a plane. What the last step reads beyond the plane is `pad`. The planes of the target are the
        positions of a single output block, each of so many planes of the source.
    split
        Base-2 logarithm of the words that a beat reads at most: kernel rows of a depthwise operation, planes of others.
    word_rows
        Rows of the map from word to word of a beat; 0: the words are those of neighbouring planes.
    activation
        The table of the activation unit; None: results do not go through it. The residual is then added there.
    macs
        Number of products of the network.
    """

    layer: str
    source: Tensor
    target: Tensor
    steps: tuple[Steps, ...]
    dense: int
    columns: dict[str, Ints]
    x_step: int
    low: int
    high: int
    residual: Tensor | None = None
    addend: Tensor | None = None
    gate: Tensor | None = None
    sums: Tensor | None = None
    stride: int = 1
    phases: int = 1
    across: int = 1
    every: int = 1
    lead: int = 0
    pad: int = 0
    leak: int = 0
    depthwise: bool = False
    maximum: bool = False
    upsample: bool = False
    flip_target: bool = False
    runs: int = 0
    split: int = 0
    word_rows: int = 0
    activation: ActivationTable | None = None
    macs: int = 0
    _tilings: dict[tuple[int, int, EngineParams], Tiling] = field(init=False, repr=False, default_factory=dict)

    def behind(self, row: int, column: int) -> "Operation":
        """Return the operation whose first result is this one's in a row and a column, both the first of a phase."""
        down = row // self.phases * self.stride
        right = column // self.across * self.every * self.x_step
        steps = tuple(replace(block, row=block.row + down, byte=block.byte + right) for block in self.steps)
        return replace(self, steps=steps)

    @property
    def kept(self) -> int:
        """Steps of all output blocks."""
        return sum(map(len, self.steps))

    @cached_property
    def fetched(self) -> int:
        """Weight blocks of all output blocks that are not those of the step before."""
        before, count = None, 0
        for steps in self.steps:
            count += len(steps) - int(repeats(steps.weights, before).sum())
            before = steps.weights[-1]
        return count

    def computing(self, beats: int, tiles: int, columns: int) -> int:
        """Return the cycles of all steps, each of so many beats in so many tiles, on an array of `columns`."""
        own = self.fetched * max(beats, tiles * columns)  # those weights are loaded meanwhile
        return own + (self.kept - self.fetched) * max(beats, tiles * UNWRITTEN)

    def beats(self, rows: int, columns: int) -> int:
        """Return the beats of a step in a tile of so many rows and columns."""
        return rows * (self.lead + (columns - 1) * self.every + 1)

    def streamed(self, params: EngineParams) -> float:
        """Return the bytes of the streams that every tile reads, about."""
        held = 0.0 if self.gate is not None else self.fetched * params.lanes * params.columns * STREAM_PART
        held += self.kept * STEP_BYTES
        return held + self.blocks * params.columns * column_bytes(params) + TABLE_BYTES * (self.activation is not None)

    def tiling(self, rows: int, columns: int, params: EngineParams) -> Tiling:
        """Cut a part of a phase's results into tiles: as large as the array holds, or as bursts and sums allow."""
        widest = None if self.sums is None else SUMMED
        if self.activation is None:
            return Tiling.of(rows, columns, params.depth, widest=widest, even=self.upsample)
        key = rows, columns, params
        if key not in self._tilings:
            self._tilings[key] = self._bursts(params).tiling(rows, columns, widest=widest, even=self.upsample)
        return self._tilings[key]

    def activating(self, tiling: Tiling, params: EngineParams) -> float:
        """Return the cycles of array and activation unit in all tiles, about; 0 without an activation."""
        return 0 if self.activation is None else self._bursts(params).cycles(tiling)

    def _bursts(self, params: EngineParams) -> Bursts:
        blocks = len(self.steps)
        return Bursts(
            blocks=self.blocks, steps=self.kept / blocks, fetched=self.fetched / blocks,
            streamed=self.streamed(params) / params.bus_bytes, beats=self.beats, params=params,
        )  # fmt: skip

    @property
    def blocks(self) -> int:
        """Number of blocks of outputs, each as wide as the array."""
        return len(self.steps) // (self.phases * self.across)

    @property
    def grain(self) -> int:
        """A number that the rows of any part of the results are a multiple of."""
        return 2 if self.upsample else self.phases

    def phase(self, number: int) -> tuple[int, int, int]:
        """Return the first row and the first column of the phase of steps `number`, and their output block."""
        phase, block = divmod(number, self.blocks)
        return (*divmod(phase, self.across), block)

    def positions(self, rows: int, columns: int, row: int = 0, column: int = 0) -> tuple[int, int]:
        """Return the rows and columns of a phase, by default the largest, in so many rows and columns of results."""
        if self.runs:
            return self.target.storage.planes, 1
        return -(-(rows - row) // self.phases), -(-(columns - column) // self.across)

    @property
    def operands(self) -> tuple[Tensor, ...]:
        """Tensors that the operation reads, the source first."""
        tensors = (self.source, self.residual, self.addend, self.gate)
        return tuple(tensor for tensor in tensors if tensor is not None)

    @property
    def range(self) -> tuple[int, int]:
        """Least and greatest byte of the sources, as the array sees them."""
        ranges = [tensor.range for tensor in (self.source, self.addend) if tensor is not None]
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    @cached_property
    def reach(self) -> tuple[int, int, int, int]:
        """Least and greatest row, least and greatest byte of all steps."""
        if self.runs:
            storage = self.source.storage
            return 0, storage.rows - 1, 0, (storage.columns - 1) * storage.lanes
        row, byte, words = (np.concatenate([getattr(block, name) for block in self.steps]) for name in READ)
        last = row + (words - 1) * self.word_rows
        return int(row.min()), int(last.max()), int(byte.min()), int(byte.max())

    @property
    def row_bytes(self) -> int:
        """Bytes of a row for the border of an operation with `runs`: those of a step's beats."""
        return (self.lead + 1) * self.source.storage.lanes

    def beyond(self, steps: Steps) -> Ints:
        """Return what steps with `runs` read beyond their plane, in bytes."""
        storage = self.source.storage
        words = (storage.rows - steps.row) * storage.columns - steps.byte // storage.lanes
        return np.asarray(np.maximum(self.row_bytes - words * storage.lanes, 0))

    def reads(self, area: Area, align: int) -> Area:
        """Return the part of the source that a part of the results needs; all columns if it has all.

        The first column is one whose byte is a multiple of `align` of the row: the bytes of a bus beat.
        """
        storage, target = self.source.storage, self.target.storage
        rows, columns, pixel = storage.rows, storage.columns, storage.pixel_bytes
        top, bottom, low, high = self.reach
        first = area.first // self.phases * self.stride + top
        last = (area.last - 1) // self.phases * self.stride + bottom + 1
        step = self.every * self.x_step
        left = (area.left // self.across * step + low) // pixel
        right = -(-((area.right - 1) // self.across * step + self.lead * self.x_step + high + storage.lanes) // pixel)
        if self.upsample:
            first, last, left, right = area.first // 2, (area.last + 1) // 2, area.left // 2, (area.right + 1) // 2
        if area.columns == target.root[0].columns:
            left, right = 0, columns
        first, left = min(max(0, first), rows - 1), min(max(0, left), columns - 1)
        left -= left % (align // gcd(pixel, align))
        return Area(first, min(rows, max(last, first + 1)), left, min(columns, max(right, left + 1)))

    def most(self, rows: int, columns: int, align: int) -> tuple[int, int]:
        """Return the rows and columns that `reads` gives at most for so many rows and columns of results."""
        storage, pixel = self.source.storage, self.source.storage.pixel_bytes
        top, bottom, low, high = self.reach
        height = (rows - 1) // self.phases * self.stride + bottom - top + 1
        height = (rows + 1) // 2 if self.upsample else height
        width = ((columns - 1) // self.across * self.every + self.lead) * self.x_step + high - low + storage.lanes
        width = (columns + 1) // 2 if self.upsample else -(-width // pixel) + 1
        if columns >= self.target.storage.root[0].columns:
            width = storage.columns
        return min(height, storage.rows), min(width + align // gcd(pixel, align) - 1, storage.columns)

    def check_sums(self, params: EngineParams) -> None:
        """Raise InputError where a bias, a sum or its sum with the residual does not fit the array's registers."""
        bias, steps = self.columns["bias"], self.steps
        needed = signed_width(int(bias.min()), int(bias.max()))
        if needed > params.bias_width:
            message = f"{self.layer}: a bias of {abs(bias).max()} needs more than {params.bias_width} bits"
            raise EngineError(message, wider_bias(needed))
        if self.maximum or self.gate is not None:  # whose sums do not depend on numbers that are here
            return
        ups, downs = (np.stack(sums) for sums in zip(*map(_sums, steps), strict=True))
        low, high = self.range
        low, high = min(low, 0), max(high, 0)
        bias = np.tile(bias, (len(steps) // len(bias), 1))
        most, least = bias + ups * high + downs * low, bias + ups * low + downs * high
        if self.residual is not None and self.activation is None:
            up = self.columns["residual_shift"]
            up = np.tile(up, (len(steps) // len(up), 1))
            most = np.maximum(most, most + (self.residual.range[1] << up))
            least = np.minimum(least, least + (self.residual.range[0] << up))
        width = signed_width(int(least.min()), int(most.max()))
        if width > params.mac.acc_width:
            message = f"{self.layer}: sums need {width} bits, but the array's have {params.mac.acc_width}"
            raise EngineError(message, wider_sums(params, width))


def _sums(block: Steps) -> tuple[Ints, Ints]:
    """Return the sums of an output block's positive and of its negative weights, (columns,), digits added up before."""
    weights: NDArray[Any] = block.weights
    scale = block.scale
    if len(np.unique(block.place)) < len(block):
        weights = block.totals()
        scale = np.zeros(len(weights), dtype=np.int64)
    ups, downs = (part(weights, 0).sum(axis=2, dtype=np.int64) for part in (np.maximum, np.minimum))
    up, down = ((sums << 2 * scale[:, None]).sum(axis=0) for sums in (ups, downs))
    return np.asarray(up), np.asarray(down)
