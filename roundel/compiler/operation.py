"""Operations: the work of one COMPUTE on whole tensors, before they have addresses, and the streams that it reads."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roundel.compiler.area import Area
from roundel.compiler.refusal import WEIGHT_BITS, EngineError, wider_bias, wider_sums
from roundel.compiler.tensor import Tensor
from roundel.golden.codec import CodecParams, encode
from roundel.golden.cycles import UNWRITTEN
from roundel.golden.engine import KEEP, LAST, MOST_SCALE, SCALE, STEP, EngineParams, pack_column
from roundel.golden.errors import InputError
from roundel.golden.formats import signed_width
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints, limits

Weights = NDArray[np.int8]

ONE = int(np.float32(1).view(np.uint32))  # the bits of a scale of 1.0
MAX_PIECES = 16  # of a weight that is too wide, which add up to it


@dataclass(frozen=True, kw_only=True, eq=False)
class Steps:
    """The weight blocks of one output block, in order.

    Parameters
    ----------
    plane
        (steps,): plane of the source that each step reads.
    row, byte
        (steps,): rows and bytes of a row from output position (0, 0) to the first beat's lane 0.
    weights
        (steps, columns, lanes); of a depthwise operation (steps, columns, taps and zeros behind them).
    scale
        (steps,): the weights count 4**scale times.
    """

    plane: Ints
    row: Ints
    byte: Ints
    weights: Weights
    scale: Ints

    def __len__(self) -> int:
        return len(self.plane)

    def kept(self) -> "Steps":
        """Without blocks that are all zero, but for one if there is nothing else."""
        keep = np.asarray(self.weights.any(axis=(1, 2)))
        if not keep.any():
            keep[0] = True
        return self if keep.all() else Steps(**{name: values[keep] for name, values in vars(self).items()})


@dataclass(frozen=True, kw_only=True, eq=False)
class Operation:
    """The work of one COMPUTE on whole tensors.

    Parameters
    ----------
    layer
        The network's layer that it belongs to.
    source, residual, target
        The operand, the tensor that is added (or None) and the result.
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
        Clamp of the result, before `flip_target`.
    leak
        See docs/engine.md.
    depthwise, maximum, upsample, flip_target
        See docs/engine.md.
    runs
        The words of a plane count as one row, which the steps read one behind the other; all of them for the one
        result. What the last step reads beyond the plane is `pad`.
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
    runs: bool = False
    macs: int = 0

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
        return -(-(rows - row) // self.phases), -(-(columns - column) // self.across)

    @property
    def operands(self) -> tuple[Tensor, ...]:
        """Tensors that the operation reads, the residual last."""
        return (self.source,) if self.residual is None else (self.source, self.residual)

    @cached_property
    def reach(self) -> tuple[int, int, int, int]:
        """Least and greatest row, least and greatest byte of all steps."""
        if self.runs:
            storage = self.source.storage
            return 0, storage.rows - 1, 0, (storage.columns - 1) * storage.lanes
        rows, bytes_ = ([block.row for block in self.steps], [block.byte for block in self.steps])
        row, byte = np.concatenate(rows), np.concatenate(bytes_)
        return int(row.min()), int(row.max()), int(byte.min()), int(byte.max())

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
        if area.columns == target.columns:
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
        if columns >= self.target.storage.columns:
            width = storage.columns
        return min(height, storage.rows), min(width + align // gcd(pixel, align) - 1, storage.columns)

    def check_sums(self, params: EngineParams) -> None:
        """Raise InputError where a bias, a sum or its sum with the residual does not fit the array's registers."""
        bias, steps = self.columns["bias"], self.steps
        needed = signed_width(int(bias.min()), int(bias.max()))
        if needed > params.bias_width:
            message = f"{self.layer}: a bias of {abs(bias).max()} needs more than {params.bias_width} bits"
            raise EngineError(message, wider_bias(needed))
        if self.maximum:
            return
        ups, downs = (np.stack([_sums(block, part) for block in steps]) for part in (np.maximum, np.minimum))
        low, high = self.source.range
        low, high = min(low, 0), max(high, 0)
        bias = np.tile(bias, (len(steps) // len(bias), 1))
        most, least = bias + ups * high + downs * low, bias + ups * low + downs * high
        if self.residual is not None:
            up = self.columns["residual_shift"]
            up = np.tile(up, (len(steps) // len(up), 1))
            most = np.maximum(most, most + (self.residual.range[1] << up))
            least = np.minimum(least, least + (self.residual.range[0] << up))
        width = signed_width(int(least.min()), int(most.max()))
        if width > params.mac.acc_width:
            message = f"{self.layer}: sums need {width} bits, but the array's have {params.mac.acc_width}"
            raise EngineError(message, wider_sums(params, width))


def _sums(block: Steps, part: Callable[[Weights, int], Weights]) -> Ints:
    """Return the sums of an output block's positive, or negative, weights, (columns,)."""
    sums = part(block.weights, 0).sum(axis=2, dtype=np.int64)
    return np.asarray((sums << 2 * block.scale[:, None]).sum(axis=0))


class Piece(NamedTuple):
    """Narrow weights, which count 4**scale times."""

    weights: Weights
    scale: int = 0


def pieces(layer: str, weights: Ints, params: EngineParams) -> list[Piece]:
    """Weights as wide as the engine's that add up to `weights`: one set if these fit.

    Two sets are enough for 6 bits more, if the engine's weights have 7 or 8, and it scales.

    Raises
    ------
    InputError
        More than `MAX_PIECES` would be needed.
    """
    width = params.weight_width
    low, high = limits(width, True)
    if low <= weights.min() and weights.max() <= high:
        return [Piece(weights.astype(np.int8))]  # nearly always; some layers have 100 million
    narrow: list[Piece] = []
    while weights.any():
        if len(narrow) == MAX_PIECES:
            message = f"{layer}: weights do not fit into {MAX_PIECES} times {width} bits"
            raise EngineError(message, {"weight_width": width + 1} if width < WEIGHT_BITS else {})
        part, scale = _upper(weights, low, high, MOST_SCALE * params.scales)
        narrow.append(Piece(part.astype(np.int8), scale))
        weights = weights - (part << 2 * scale)
    return narrow


def _upper(weights: Ints, low: int, high: int, most: int) -> tuple[Ints, int]:
    """Return what fits from `low` to `high` of wider weights at the smallest scale up to `most`, and that scale.

    What is left has the same sign, so that bounds of sums stay as they are, if it fits at once; else it is the least.
    """
    for scale in range(most + 1):
        unit = 1 << 2 * scale
        part = (weights + (np.where(weights < 0, unit - 1, 0) if unit - 1 <= high else unit >> 1)) >> 2 * scale
        if low <= part.min() and part.max() <= high:
            break
    if not part.any():
        scale -= 1
        part = weights >> 2 * scale
    return np.clip(part, low, high), scale


def by_slot(target: Tensor, lanes: int, values: dict[str, Ints]) -> dict[str, Ints]:
    """Spread values of channels over output blocks.

    Parameters
    ----------
    target
        Tensor whose slots are the places of the channels.
    lanes
        Lanes of a plane.
    values
        By name, (channels,), or (1,) for all.

    Returns
    -------
    dict
        By name, (blocks, columns); zeros where no channel is.
    """
    planes, slots = target.storage.planes, {}
    for name, channels in values.items():
        spread = np.zeros(planes * lanes, dtype=np.int64)
        spread[target.slots] = channels
        slots[name] = spread.reshape(planes, lanes)
    return slots


def parameter_stream(
    operation: Operation, blocks: range, params: EngineParams, places: Iterable[tuple[Ints, Ints, Ints]]
) -> bytes:
    """Pack columns' parameters and steps of some output blocks, block by block.

    Parameters
    ----------
    operation, blocks
        The operation, and the numbers of the output blocks.
    params
        The engine's.
    places
        Offset, dy and dx of each block's steps, (steps,) each.

    Raises
    ------
    InputError
        A kernel that reaches further than dy and dx hold.
    """
    stream, before = [], None
    for number, (offset, dy, dx) in zip(blocks, places, strict=True):
        for name, values in (("dy", dy), ("dx", dx)):
            reach = np.iinfo(STEP[name])
            if values.min() < reach.min or values.max() > reach.max:
                raise InputError(f"{operation.layer}: a kernel reaches {name} {values.min()} to {values.max()}")
        fields = [{name: int(values[number % len(values), column]) for name, values in operation.columns.items()}
                for column in range(params.columns)]  # fmt: skip
        stream += [pack_column(params, values) for values in fields]
        held = operation.steps[number].weights
        steps = np.zeros(len(offset), dtype=STEP)
        steps["offset"], steps["dy"], steps["dx"] = offset, dy, dx
        steps["flags"] = KEEP * repeats(held, before) | SCALE * operation.steps[number].scale
        steps["flags"][-1] |= LAST
        stream.append(steps.tobytes())
        before = held[-1]
    return b"".join(stream)


def repeats(weights: Weights, before: Weights | None = None) -> NDArray[np.bool_]:
    """Whether weight blocks, (blocks, columns, lanes), are those of the block before each of them: a step keeps them.

    Parameters
    ----------
    weights
        The blocks.
    before
        The one before the first; None if there is none.
    """
    same = np.zeros(len(weights), dtype=bool)
    same[1:] = (weights[1:, 0] == weights[:-1, 0]).all(axis=1)  # of most blocks the first column tells
    places = np.flatnonzero(same)
    same[places] = (weights[places] == weights[places - 1]).all(axis=(1, 2))
    same[0] = before is not None and np.array_equal(before, weights[0])
    return same


def encode_weights(weights: Weights, params: EngineParams) -> bytes:
    """Weight blocks in order, (..., columns, lanes), as a stream for the engine's decoder."""
    coder = CodecParams(
        packing=params.packing, width=params.weight_width, lanes=params.lanes, slices=params.decoder.slices
    )
    return encode(weights, coder)


def identity(params: EngineParams) -> tuple[int, dict[str, Ints]]:
    """Return a weight, and what the requantizer takes with it, so that an activation stays what it is."""
    unit = np.ones(1, dtype=np.int64)
    return {
        Scheme.SHIFT: (1, {"shift": 0 * unit}),
        Scheme.FIXED32: (2, {"multiplier": unit << 30, "shift": 0 * unit}),
        Scheme.FLOAT32: (1, {"scale": unit * ONE}),
    }.get(params.scheme, (1, {"multiplier": unit, "shift": 0 * unit}))
