"""The engine in NumPy: what a program makes of its memories, bit for bit. docs/engine.md is the normative text.

Descriptors run one after the other, as if every unit waited for all before: a program whose tokens let units run side
by side must give the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from roundel.golden.activation import ActivationTable
from roundel.golden.codec import CodecError
from roundel.golden.engine.boxes import Scale, plain, records
from roundel.golden.engine.compute import (
    FLIP,
    Bytes,
    Tile,
    activate,
    activation_table,
    count,
    factors,
    gathered,
    held_blocks,
    products,
    requantize,
    signed,
    stream_weights,
    sum_digits,
)
from roundel.golden.engine.dispatch import Dispatch, EngineFault
from roundel.golden.engine.fields import Opcode
from roundel.golden.engine.outer import OuterMemory
from roundel.golden.engine.params import EngineParams
from roundel.golden.engine.program import DESCRIPTOR_BYTES, HEADER_BYTES, Descriptor, Program, WeightStep
from roundel.golden.engine.registers import ErrorCode, Region, Status
from roundel.golden.errors import InputError
from roundel.golden.requant import Scheme
from roundel.golden.rounding import Ints


@dataclass(kw_only=True, eq=False)
class Engine:
    """An engine and its activation memory.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.
    regions
        The outer memory, each region as (bytes,) uint8; written in place.
    bases
        What the base registers hold, for programs that reach a region from another one's base. By default every
        region is a memory of its own from address 0 on, and so are the addresses of faults.

    Attributes
    ----------
    images
        Scales of the heads of each image whose boxes were written.
    """

    params: EngineParams
    regions: Mapping[Region, Bytes]
    bases: Mapping[Region, int] | None = None
    memory: Bytes = field(init=False)
    scales: list[Scale] = field(init=False, default_factory=list)
    images: list[tuple[Scale, ...]] = field(init=False, default_factory=list)
    boxes: int = field(init=False, default=0)
    dropped: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self.memory = np.zeros(self.params.memory, np.uint8)
        self.outer = OuterMemory(regions=self.regions, bases=self.bases, align=self.params.bus_bytes)

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
            The program is cut off.
        EngineFault
            An unknown operation, descriptors without an end, a damaged stream, a place beyond its region, descriptors
            that wait for each other.
        OverflowError
            Sums that do not fit the accumulator, where hardware would go on with wrong ones.
        """
        program = self.regions[Region.PROGRAM].tobytes()
        for index, descriptor in Dispatch().order(self._fetched(program, Program.count(program, self.params))):
            self._step(index, descriptor)

    def _fetched(self, program: bytes, length: int) -> Iterator[tuple[int, Descriptor]]:
        """Yield number and descriptor of each descriptor before END."""
        for index in range(length):
            start = HEADER_BYTES + index * DESCRIPTOR_BYTES
            data = program[start : start + DESCRIPTOR_BYTES]
            if len(data) < DESCRIPTOR_BYTES:
                raise InputError(f"program: {length} descriptors do not fit into {len(program)} bytes")
            try:
                descriptor = Descriptor.unpack(data)
            except ValueError:
                descriptor = None
            if descriptor is None or (descriptor.opcode is Opcode.BOXES and self.params.nms is None):
                raise EngineFault(ErrorCode.OPCODE, self.outer.address(Region.PROGRAM, start), index)
            if descriptor.opcode is Opcode.END:
                return
            yield index, descriptor
        raise EngineFault(ErrorCode.TRUNCATED, length, length)

    def _step(self, index: int, descriptor: Descriptor) -> None:
        try:
            match descriptor.opcode:
                case Opcode.LOAD | Opcode.STORE:
                    self._move(descriptor, index)
                case Opcode.COMPUTE:
                    self._compute(descriptor, index)
                case Opcode.BOXES:
                    self._boxes(descriptor, index)
        except CodecError as error:
            raise EngineFault(ErrorCode.WEIGHTS, error.bit, index) from None
        except EOFError:
            address = self.outer.address(Region(descriptor.parameters_region), descriptor.parameters_offset)
            raise EngineFault(ErrorCode.PARAMETERS, address, index) from None

    def _move(self, descriptor: Descriptor, index: int) -> None:
        region, lanes, size = Region(descriptor.region), self.params.lanes, descriptor.run_bytes
        code = ErrorCode.READ if descriptor.opcode is Opcode.LOAD else ErrorCode.WRITE
        for plane in range(count(descriptor, "planes")):
            for run in range(count(descriptor, "runs")):
                start = descriptor.offset + plane * descriptor.outer_plane + run * descriptor.outer_run
                outer = self.outer.span(region, start, size)
                if outer is None:
                    raise EngineFault(code, self.outer.aligned(region, start), index)
                chip = (descriptor.chip + plane * descriptor.chip_plane + run * descriptor.chip_run) * lanes
                held = (chip + np.arange(-(-size // lanes) * lanes)) % self.params.memory
                if descriptor.opcode is Opcode.LOAD:
                    filled = np.zeros(len(held), np.uint8)
                    filled[:size] = outer
                    # Of a run that is longer than the memory the end stays.
                    self.memory[held[-self.params.memory :]] = filled[-self.params.memory :]
                else:
                    outer[:] = self.memory[held[:size]]

    def _stream(self, descriptor: Descriptor, prefix: str, index: int) -> bytes:
        """Return one of a descriptor's streams, whole."""
        region, offset, size = (getattr(descriptor, f"{prefix}_{name}") for name in ("region", "offset", "bytes"))
        held = self.outer.span(Region(region), offset, size)
        if held is None:
            raise EngineFault(ErrorCode.READ, self.outer.aligned(Region(region), offset), index)
        return held.tobytes()

    def _compute(self, descriptor: Descriptor, index: int) -> None:
        parameters = self._stream(descriptor, "parameters", index)
        bits = 8 * descriptor.weights_bytes % (1 << 32)
        if self.params.gates and descriptor.has_gate:
            held = factors(self.params, descriptor, self.memory)
        else:
            held = stream_weights(self.params, self._stream(descriptor, "weights", index))
        table = activation_table(self.params, descriptor, parameters)
        blocks = list(held_blocks(self.params, descriptor, parameters, held, bits=bits))
        for ty in range(count(descriptor, "tiles_y")):
            for tx in range(count(descriptor, "tiles_x")):
                tile = Tile.of(descriptor, ty, tx)
                for number, (columns, steps) in enumerate(blocks):
                    acc = self._sums(descriptor, tile, columns, steps)
                    results = self._results(descriptor, tile, number, columns, acc, table)
                    flip = np.uint8(FLIP if descriptor.flip_target else 0)
                    self._write(descriptor, tile, tx, number, (results & 0xFF).astype(np.uint8) ^ flip)

    def _sums(
        self, descriptor: Descriptor, tile: Tile, columns: dict[str, Ints], steps: list[tuple[WeightStep, Ints]]
    ) -> Ints:
        """Return the sums of one output block of one tile after all its steps, (positions, columns)."""
        acc = np.broadcast_to(columns["bias"], (tile.positions, self.params.columns))
        for step, held in steps:
            words = gathered(descriptor, tile, step, self.memory, self.params)
            dot = products(descriptor, tile, words[0], held, self.params)
            for number, data in enumerate(words[1 : None if descriptor.depthwise else 1], 1):
                dot = dot + products(descriptor, tile, data, held, self.params, number)
            dot = dot << 2 * step.scale * self.params.scales
            acc = np.maximum(acc, dot) if descriptor.maximum else acc + dot
        return acc

    def _results(
        self,
        descriptor: Descriptor,
        tile: Tile,
        number: int,
        columns: dict[str, Ints],
        acc: Ints,
        table: ActivationTable | None,
    ) -> Ints:
        """Return what a tile's output block `number` gives, its residuals included, (positions, columns)."""
        residual = np.zeros_like(acc)
        if descriptor.has_residual and self.params.scheme is Scheme.SHIFT:
            raw = self.memory[self._words(descriptor, "residual", number, tile)]
            if table is not None:
                residual = raw.astype(np.int64) if descriptor.flip_residual else signed(raw)
            else:
                flip = np.uint8(FLIP if descriptor.flip_residual else 0)
                acc = acc + (signed(raw ^ flip) << columns["residual_shift"])
        if table is not None:
            return activate(descriptor, acc, columns, table, residual, self.params)
        return requantize(descriptor, acc, columns, self.params)

    def _write(self, descriptor: Descriptor, tile: Tile, tx: int, number: int, results: Bytes) -> None:
        """Write the results of a tile's output block `number`, (positions, columns), and the sums of each row."""
        words = self._words(descriptor, "target", number, tile)
        if not (self.params.sums and descriptor.has_sums):
            self.memory[words] = results
            return
        first = descriptor.sums + 2 * number * descriptor.sums_plane + tx * descriptor.sums_tile
        first += tile.ty * descriptor.tile_h
        lanes = np.arange(self.params.lanes)
        for y, row in enumerate(np.split(np.arange(tile.positions), tile.h)):
            self.memory[words[row]] = results[row]
            for place, digits in enumerate(sum_digits(descriptor, results[row])):
                word = first + y + place * descriptor.sums_plane
                self.memory[(word * self.params.lanes + lanes) % self.params.memory] = digits

    def _words(self, descriptor: Descriptor, name: str, number: int, tile: Tile) -> Ints:
        """Byte addresses of a tile's words in block `number` of `target` or `residual`, (positions, lanes)."""
        base, plane, row, step = (getattr(descriptor, name + part) for part in ("", "_plane", "_row", "_tile"))
        y, x = np.divmod(np.arange(tile.positions), tile.w)
        word = base + number * plane + tile.ty * step + y * row + (tile.x + x) * (descriptor.skip + 1)
        lanes = np.arange(self.params.lanes)
        return np.asarray((word[:, None] * self.params.lanes + lanes) % self.params.memory)

    def _boxes(self, descriptor: Descriptor, index: int) -> None:
        descriptor = descriptor if self.params.heads else plain(descriptor)
        tables = self._stream(descriptor, "parameters", index) if descriptor.parameters_bytes else b""
        self.scales.append(Scale.of(descriptor, self.memory, self.params.lanes, tables))
        if descriptor.last:
            data, self.boxes, dropped = records(self.params, self.scales)
            self.dropped |= dropped
            region = Region(descriptor.region)
            outer = self.outer.span(region, descriptor.offset, len(data))
            if outer is None:
                raise EngineFault(ErrorCode.WRITE, self.outer.aligned(region, descriptor.offset), index)
            outer[:] = np.frombuffer(data, np.uint8)
            self.images.append(tuple(self.scales))
            self.scales.clear()
