"""The engine in NumPy: what a program makes of its memories, bit for bit. docs/engine.md is the normative text.

Descriptors run one after the other, as if every unit waited for all before: a program whose tokens let units run side
by side must give the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from roundel.golden.codec import CodecError
from roundel.golden.engine.boxes import Scale, records
from roundel.golden.engine.compute import FLIP, Bytes, Tile, depthwise, gather, output_blocks, requantize, signed
from roundel.golden.engine.fields import Opcode
from roundel.golden.engine.params import EngineParams
from roundel.golden.engine.program import DESCRIPTOR_BYTES, HEADER_BYTES, Descriptor, Program, WeightStep
from roundel.golden.engine.registers import ErrorCode, Region, Status
from roundel.golden.rounding import Ints


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
        tile: Tile,
        number: int,
        columns: dict[str, Ints],
        steps: list[tuple[WeightStep, Ints]],
    ) -> None:
        """One output block of one tile: all its steps, then its results into the memory."""
        acc = np.broadcast_to(columns["bias"], (tile.positions, self.params.columns))
        for step, held in steps:
            data = gather(descriptor, tile, step, self.memory, self.params.lanes)
            dot = depthwise(descriptor, tile, data, held, self.params) if descriptor.depthwise else data @ held.T
            acc = np.maximum(acc, dot) if descriptor.maximum else acc + dot
        if descriptor.has_residual:
            words = self._words(
                descriptor.residual + number * descriptor.residual_plane,
                descriptor.residual_row,
                descriptor.residual_tile,
                tile,
            )
            flip = FLIP if descriptor.flip_residual else 0
            acc = acc + (signed(self.memory[words] ^ np.uint8(flip)) << columns["residual_shift"])
        results = requantize(descriptor, acc, columns, self.params)
        words = self._words(
            descriptor.target + number * descriptor.target_plane, descriptor.target_row, descriptor.target_tile, tile
        )
        self.memory[words] = (results & 0xFF).astype(np.uint8) ^ np.uint8(FLIP if descriptor.flip_target else 0)

    def _words(self, base: int, row: int, tile_step: int, tile: Tile) -> Ints:
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
