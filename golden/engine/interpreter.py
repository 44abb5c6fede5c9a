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
        for index, descriptor in enumerate(program.descriptors):
            if descriptor.opcode is Opcode.END:
                return
            self._step(index, descriptor)
        raise EngineFault(ErrorCode.TRUNCATED, len(program.descriptors), len(program.descriptors))

    def _step(self, index: int, descriptor: Descriptor) -> None:
        try:
            match descriptor.opcode:
                case Opcode.LOAD | Opcode.STORE:
                    self._move(descriptor, index)
                case Opcode.COMPUTE:
                    self._compute(descriptor)
                case Opcode.BOXES:
                    self._boxes(descriptor, index)
        except CodecError as error:
            raise EngineFault(ErrorCode.WEIGHTS, error.bit, index) from None
        except EOFError:
            raise EngineFault(ErrorCode.PARAMETERS, descriptor.parameters_offset, index) from None

    def _move(self, descriptor: Descriptor, index: int) -> None:
        outer, lanes, size = self.regions[Region(descriptor.region)], self.params.lanes, descriptor.run_bytes
        code = ErrorCode.READ if descriptor.opcode is Opcode.LOAD else ErrorCode.WRITE
        for plane in range(descriptor.planes):
            for run in range(descriptor.runs):
                start = descriptor.offset + plane * descriptor.outer_plane + run * descriptor.outer_run
                if start + size > len(outer):
                    raise EngineFault(code, start, index)
                chip = (descriptor.chip + plane * descriptor.chip_plane + run * descriptor.chip_run) * lanes
                held = (chip + np.arange(-(-size // lanes) * lanes)) % self.params.memory
                if descriptor.opcode is Opcode.LOAD:
                    self.memory[held] = 0
                    self.memory[held[:size]] = outer[start : start + size]
                else:
                    outer[start : start + size] = self.memory[held[:size]]

    def _compute(self, descriptor: Descriptor) -> None:
        streams = self.regions[Region(descriptor.parameters_region)], self.regions[Region(descriptor.weights_region)]
        parameters = streams[0][descriptor.parameters_offset :][: descriptor.parameters_bytes].tobytes()
        weights = streams[1][descriptor.weights_offset :][: descriptor.weights_bytes].tobytes()
        blocks = list(output_blocks(self.params, parameters, weights, descriptor.blocks))
        for ty in range(descriptor.tiles_y):
            for tx in range(descriptor.tiles_x):
                tile = Tile.of(descriptor, ty, tx)
                for number, (columns, steps) in enumerate(blocks):
                    self._block(descriptor, tile, number, columns, steps)

    def _block(
        self,
        descriptor: Descriptor,
        tile: "Tile",
        number: int,
        columns: dict[str, Ints],
        steps: list[tuple[WeightStep, Ints]],
    ) -> None:
        """One output block of one tile: all its steps, then its results into the memory."""
        acc = np.broadcast_to(columns["bias"], (tile.positions, self.params.columns))
        for step, held in steps:
            data = gather(descriptor, tile, step, self.memory, self.params.lanes)
            dot = _depthwise(descriptor, tile, data, held, self.params) if descriptor.depthwise else data @ held.T
            acc = np.maximum(acc, dot) if descriptor.maximum else acc + dot
        if descriptor.has_residual:
            words = self._words(
                descriptor.residual + number * descriptor.residual_plane,
                descriptor.residual_row,
                descriptor.residual_tile,
                tile,
            )
            flip = FLIP if descriptor.flip_residual else 0
            acc = acc + (_signed(self.memory[words] ^ np.uint8(flip)) << columns["residual_shift"])
        results = requantize(descriptor, acc, columns, self.params)
        words = self._words(
            descriptor.target + number * descriptor.target_plane, descriptor.target_row, descriptor.target_tile, tile
        )
        self.memory[words] = (results & 0xFF).astype(np.uint8) ^ np.uint8(FLIP if descriptor.flip_target else 0)

    def _words(self, base: int, row: int, tile_step: int, tile: "Tile") -> Ints:
        """Byte addresses of a tile's words, (positions, lanes)."""
        y, x = np.divmod(np.arange(tile.positions), tile.w)
        word = base + tile.ty * tile_step + tile.x + y * row + x
        lanes = np.arange(self.params.lanes)
        return np.asarray((word[:, None] * self.params.lanes + lanes) % self.params.memory)

    def _boxes(self, descriptor: Descriptor, index: int) -> None:
        if self.params.nms is None:
            raise EngineFault(ErrorCode.OPCODE, HEADER_BYTES + index * DESCRIPTOR_BYTES, index)
        self.scales.append(Scale.of(descriptor, self.memory, self.params.lanes))
        if descriptor.last:
            data, self.boxes, dropped = records(self.params.nms, self.scales)
            self.dropped |= dropped
            outer = self.regions[Region(descriptor.region)]
            if descriptor.offset + len(data) > len(outer):
                raise EngineFault(ErrorCode.WRITE, descriptor.offset, index)
            outer[descriptor.offset : descriptor.offset + len(data)] = np.frombuffer(data, np.uint8)
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
    def of(cls, descriptor: Descriptor, ty: int, tx: int) -> "Tile":
        """Tile (ty, tx) of a COMPUTE descriptor."""
        return cls(
            ty=ty,
            x=tx * descriptor.tile_w,
            w=descriptor.last_w if tx == descriptor.tiles_x - 1 else descriptor.tile_w,
            h=descriptor.last_h if ty == descriptor.tiles_y - 1 else descriptor.tile_h,
            origin=descriptor.source + ty * descriptor.tile_y_step + tx * descriptor.tile_x_step,
            row=ty * descriptor.tile_y_rows,
            byte=tx * descriptor.tile_x_step,
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

    Parameters
    ----------
    params
        The engine.
    parameters, weights
        The parameter stream and the weight stream of a COMPUTE, whole.
    blocks
        Output blocks.

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


def gather(descriptor: Descriptor, tile: Tile, step: WeightStep, memory: Bytes, lanes: int) -> Ints:
    """Read what a step's beats bring, (rows * beats, lanes) signed bytes.

    Parameters
    ----------
    descriptor
        A COMPUTE.
    tile, step
        Which of its tiles and of its weight blocks.
    memory
        The activation memory, (bytes,).
    lanes
        Bytes of a beat.
    """
    beats = descriptor.lead + (tile.w - 1) * descriptor.every + 1
    y, beat = np.divmod(np.arange(tile.h * beats), beats)
    if descriptor.upsample:
        y, beat = y >> 1, beat >> 1
    lane = np.arange(lanes)
    row = tile.row + step.dy + y * descriptor.y_rows
    byte = (tile.byte + step.dx + beat * descriptor.x_step)[:, None] + lane
    address = (tile.origin + step.offset + y * descriptor.y_step + beat * descriptor.x_step)[:, None] + lane
    inside = ((row >= 0) & (row < descriptor.rows))[:, None] & (byte >= 0) & (byte < descriptor.row_bytes)
    raw = np.where(inside, memory[address % len(memory)], np.uint8(descriptor.pad))
    return _signed(raw ^ np.uint8(FLIP if descriptor.flip_source else 0))


def requantize(descriptor: Descriptor, acc: Ints, columns: dict[str, Ints], params: EngineParams) -> Ints:
    """Results of a block's sums, within the layer's clamp.

    Parameters
    ----------
    descriptor
        A COMPUTE.
    acc
        Sums, with the residual if there is one, (positions, columns).
    columns
        Parameters of the block's columns by name, (columns,).
    params
        The engine.

    Returns
    -------
    (positions, columns), integers from `low` to `high`.

    Raises
    ------
    OverflowError
        Sums that the hardware's accumulator does not hold.
    """
    width = params.mac.acc_width
    if acc.size and not -(1 << width - 1) <= acc.min() <= acc.max() < 1 << width - 1:
        raise OverflowError(f"layer {descriptor.layer}: sums do not fit into {width} bits")
    if params.scheme is Scheme.SHIFT:
        amount = columns["shift"] + np.where(acc < 0, descriptor.leak, 0)
        return np.asarray(np.clip(round_shift(acc, amount, params.rounding), descriptor.low, descriptor.high))
    requant = params.mac.requant
    runtime = {item.name: columns[item.name] for item in requant.runtime_fields}
    return np.asarray(np.clip(requant.compute(acc, runtime), descriptor.low, descriptor.high))


def _depthwise(descriptor: Descriptor, tile: Tile, data: Ints, held: Ints, params: EngineParams) -> Ints:
    """Return the sums of a depthwise step, (positions, columns): weight t meets the data of t beats before.

    What a row's first beats find of the row before meets weights of zero.
    """
    rows = data.reshape(tile.h, -1, params.lanes)
    first = np.arange(tile.w) * descriptor.every + descriptor.lead
    dot = np.zeros((tile.h, tile.w, params.columns), np.int64)
    for tap in range(min(params.taps, descriptor.lead + 1)):
        dot += rows[:, first - tap] * held[:, tap]
    return np.asarray(dot.reshape(tile.positions, -1))


def _signed(raw: Bytes) -> Ints:
    return raw.view(np.int8).astype(np.int64)
