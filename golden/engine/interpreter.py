"""The engine in NumPy: what a program makes of its memories, bit for bit. docs/engine.md is the normative text.

Descriptors run one after the other, as if every unit waited for all before: a program whose tokens let units run side
by side must give the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from roundel.golden.codec import CodecError
from roundel.golden.engine.boxes import Scale, records
from roundel.golden.engine.fields import Opcode
from roundel.golden.engine.params import EngineParams
from roundel.golden.engine.program import (
    DESCRIPTOR_BYTES,
    HEADER_BYTES,
    STEP_BYTES,
    Descriptor,
    Program,
    WeightStep,
    column_bytes,
    unpack_columns,
)
from roundel.golden.engine.registers import ErrorCode, Region, Status
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints, round_shift

Bytes = NDArray[np.uint8]
FLIP = 0x80


class EngineFault(Exception):
    """What stops the engine: `code`, `address` and the descriptor's `index`, as its registers have them."""

    def __init__(self, code: ErrorCode, address: int, index: int):
        self.code, self.address, self.index = code, address, index
        super().__init__(f"descriptor {index}: {code.name.lower()} at {address:#x}")


@dataclass(kw_only=True, eq=False)
class Engine:
    """An engine and its activation memory.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.
    regions
        The outer memory, each region as (bytes,) uint8; written in place.
    """

    params: EngineParams
    regions: Mapping[Region, Bytes]
    memory: Bytes = field(init=False)
    scales: list[Scale] = field(init=False, default_factory=list)
    boxes: int = field(init=False, default=0)
    dropped: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.memory = np.zeros(self.params.memory, np.uint8)

    @property
    def status(self) -> Status:
        """What the register `status` says after `run`."""
        return Status.DONE | (Status.DROPPED if self.dropped else Status(0))

    def run(self) -> None:
        """Run the program at the start of region `PROGRAM` to its end.

        Raises
        ------
        ProgramError
            The header is not for this engine: `code` 1, 2 or 3.
        InputError
            The program is cut off, or a descriptor has no known opcode.
        EngineFault
            Descriptors without an end, a damaged stream, a place beyond its region, BOXES without a box unit.
        OverflowError
            Sums that do not fit the accumulator, where hardware would go on with wrong ones.
        """
        data = self.regions[Region.PROGRAM].tobytes()
        program = Program.unpack(data, self.params)
        for index, one in enumerate(program.descriptors):
            if one.opcode is Opcode.END:
                return
            self._step(index, one)
        raise EngineFault(ErrorCode.TRUNCATED, len(program.descriptors), len(program.descriptors))

    def _step(self, index: int, one: Descriptor) -> None:
        try:
            match one.opcode:
                case Opcode.LOAD | Opcode.STORE:
                    self._move(one, index)
                case Opcode.COMPUTE:
                    self._compute(one)
                case Opcode.BOXES:
                    self._boxes(one, index)
        except CodecError as error:
            raise EngineFault(ErrorCode.WEIGHTS, error.bit, index) from None
        except EOFError:
            raise EngineFault(ErrorCode.PARAMETERS, one.parameters_offset, index) from None

    def _move(self, one: Descriptor, index: int) -> None:
        outer, lanes, size = self.regions[Region(one.region)], self.params.lanes, one.run_bytes
        code = ErrorCode.READ if one.opcode is Opcode.LOAD else ErrorCode.WRITE
        for plane in range(one.planes):
            for run in range(one.runs):
                start = one.offset + plane * one.outer_plane + run * one.outer_run
                if start + size > len(outer):
                    raise EngineFault(code, start, index)
                chip = (one.chip + plane * one.chip_plane + run * one.chip_run) * lanes
                held = (chip + np.arange(-(-size // lanes) * lanes)) % self.params.memory
                if one.opcode is Opcode.LOAD:
                    self.memory[held] = 0
                    self.memory[held[:size]] = outer[start : start + size]
                else:
                    outer[start : start + size] = self.memory[held[:size]]

    def _compute(self, one: Descriptor) -> None:
        streams = self.regions[Region(one.parameters_region)], self.regions[Region(one.weights_region)]
        parameters = streams[0][one.parameters_offset :][: one.parameters_bytes].tobytes()
        weights = streams[1][one.weights_offset :][: one.weights_bytes].tobytes()
        blocks = list(output_blocks(self.params, parameters, weights, one.blocks))
        for ty in range(one.tiles_y):
            for tx in range(one.tiles_x):
                tile = Tile.of(one, ty, tx)
                for number, (columns, steps) in enumerate(blocks):
                    self._block(one, tile, number, columns, steps)

    def _block(
        self, one: Descriptor, tile: "Tile", number: int, columns: dict[str, Ints], steps: list[tuple[WeightStep, Ints]]
    ) -> None:
        """One output block of one tile: all its steps, then its results into the memory."""
        acc = np.broadcast_to(columns["bias"], (tile.positions, self.params.columns))
        for step, held in steps:
            data = gather(one, tile, step, self.memory, self.params.lanes)
            dot = _depthwise(one, tile, data, held, self.params) if one.depthwise else data @ held.T
            acc = np.maximum(acc, dot) if one.maximum else acc + dot
        if one.has_residual:
            words = self._words(one.residual + number * one.residual_plane, one.residual_row, one.residual_tile, tile)
            flip = FLIP if one.flip_residual else 0
            acc = acc + (_signed(self.memory[words] ^ np.uint8(flip)) << columns["residual_shift"])
        results = requantize(one, acc, columns, self.params)
        words = self._words(one.target + number * one.target_plane, one.target_row, one.target_tile, tile)
        self.memory[words] = (results & 0xFF).astype(np.uint8) ^ np.uint8(FLIP if one.flip_target else 0)

    def _words(self, base: int, row: int, tile_step: int, tile: "Tile") -> Ints:
        """Byte addresses of a tile's words, (positions, lanes)."""
        y, x = np.divmod(np.arange(tile.positions), tile.w)
        word = base + tile.ty * tile_step + tile.x + y * row + x
        lanes = np.arange(self.params.lanes)
        return np.asarray((word[:, None] * self.params.lanes + lanes) % self.params.memory)

    def _boxes(self, one: Descriptor, index: int) -> None:
        if self.params.nms is None:
            raise EngineFault(ErrorCode.OPCODE, HEADER_BYTES + index * DESCRIPTOR_BYTES, index)
        self.scales.append(Scale.of(one, self.memory, self.params.lanes))
        if one.last:
            data, self.boxes, dropped = records(self.params.nms, self.scales)
            self.dropped |= dropped
            outer = self.regions[Region(one.region)]
            if one.offset + len(data) > len(outer):
                raise EngineFault(ErrorCode.WRITE, one.offset, index)
            outer[one.offset : one.offset + len(data)] = np.frombuffer(data, np.uint8)
            self.scales.clear()


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Where a tile is: its number, its size, and what its steps count from."""

    ty: int
    x: int  # output positions to the left
    w: int
    h: int
    origin: int  # byte address
    row: int  # of the map
    byte: int  # of the row

    @classmethod
    def of(cls, one: Descriptor, ty: int, tx: int) -> "Tile":
        """Tile (ty, tx) of a COMPUTE descriptor."""
        return cls(
            ty=ty,
            x=tx * one.tile_w,
            w=one.last_w if tx == one.tiles_x - 1 else one.tile_w,
            h=one.last_h if ty == one.tiles_y - 1 else one.tile_h,
            origin=one.source + ty * one.tile_y_step + tx * one.tile_x_step,
            row=ty * one.tile_y_rows,
            byte=tx * one.tile_x_step,
        )

    @property
    def positions(self) -> int:
        """Output positions."""
        return self.w * self.h


@lru_cache(maxsize=256)
def _decode(params: EngineParams, weights: bytes) -> Ints:
    held = params.decoder.decode(weights).astype(np.int64)
    return np.pad(held, (0, -len(held) % params.lanes))  # the decoder fills its last beat with zeros


def output_blocks(
    params: EngineParams, parameters: bytes, weights: bytes, blocks: int
) -> Iterator[tuple[dict[str, Ints], list[tuple[WeightStep, Ints]]]]:
    """Each output block's column parameters, and its steps with their weights, (columns, lanes).

    Raises
    ------
    EOFError
        The parameter stream ends too early or goes on behind the last step.
    CodecError
        The weight stream is damaged, or brings fewer or more weight blocks than there are steps.
    """
    held = _decode(params, weights)
    size, at, used = params.columns * params.lanes, 0, 0
    for _ in range(blocks):
        end = at + params.columns * column_bytes(params)
        if end > len(parameters):
            raise EOFError
        columns, at = unpack_columns(params, parameters[at:end]), end
        steps: list[tuple[WeightStep, Ints]] = []
        while not steps or not steps[-1][0].last:
            if at + STEP_BYTES > len(parameters):
                raise EOFError
            step, at = WeightStep.unpack(parameters[at : at + STEP_BYTES]), at + STEP_BYTES
            if (used + 1) * size > len(held):
                raise CodecError(8 * len(weights), f"{len(held)} weights", f"at least {(used + 1) * size}")
            steps.append((step, held[used * size : (used + 1) * size].reshape(params.columns, params.lanes)))
            used += 1
        yield columns, steps
    if at != len(parameters):
        raise EOFError
    if used * size != len(held):
        raise CodecError(8 * len(weights), f"{len(held)} weights", f"{used * size}")


def gather(one: Descriptor, tile: Tile, step: WeightStep, memory: Bytes, lanes: int) -> Ints:
    """Read what a step's beats bring, (rows * beats, lanes) signed bytes."""
    beats = one.lead + (tile.w - 1) * one.every + 1
    y, beat = np.divmod(np.arange(tile.h * beats), beats)
    if one.upsample:
        y, beat = y >> 1, beat >> 1
    lane = np.arange(lanes)
    row = tile.row + step.dy + y * one.y_rows
    byte = (tile.byte + step.dx + beat * one.x_step)[:, None] + lane
    address = (tile.origin + step.offset + y * one.y_step + beat * one.x_step)[:, None] + lane
    inside = ((row >= 0) & (row < one.rows))[:, None] & (byte >= 0) & (byte < one.row_bytes)
    raw = np.where(inside, memory[address % len(memory)], np.uint8(one.pad))
    return _signed(raw ^ np.uint8(FLIP if one.flip_source else 0))


def requantize(one: Descriptor, acc: Ints, columns: dict[str, Ints], params: EngineParams) -> Ints:
    """Results of a block's sums, (positions, columns), within the layer's clamp."""
    width = params.mac.acc_width
    if acc.size and not -(1 << width - 1) <= acc.min() <= acc.max() < 1 << width - 1:
        raise OverflowError(f"layer {one.layer}: sums do not fit into {width} bits")
    if params.scheme is Scheme.SHIFT:
        amount = columns["shift"] + np.where(acc < 0, one.leak, 0)
        return np.asarray(np.clip(round_shift(acc, amount, params.rounding), one.low, one.high))
    requant = params.mac.requant
    runtime = {item.name: columns[item.name] for item in requant.runtime_fields}
    return np.asarray(np.clip(requant.compute(acc, runtime), one.low, one.high))


def _depthwise(one: Descriptor, tile: Tile, data: Ints, held: Ints, params: EngineParams) -> Ints:
    """Return the sums of a depthwise step, (positions, columns): weight t meets the data of t beats before.

    What a row's first beats find of the row before meets weights of zero.
    """
    rows = data.reshape(tile.h, -1, params.lanes)
    first = np.arange(tile.w) * one.every + one.lead
    dot = np.zeros((tile.h, tile.w, params.columns), np.int64)
    for tap in range(min(params.taps, one.lead + 1)):
        dot += rows[:, first - tap] * held[:, tap]
    return np.asarray(dot.reshape(tile.positions, -1))


def _signed(raw: Bytes) -> Ints:
    return raw.view(np.int8).astype(np.int64)
