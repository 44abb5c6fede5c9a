"""The two streams of the compute unit in the cycle model: parameters with steps, and weights with their decoding."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from roundel.golden.bits import WORD
from roundel.golden.codec import FINISH_CYCLES, header_words, startup_cycles
from roundel.golden.cycles.bus import PARAMETERS, WEIGHTS, Reader, Stream, Transfer
from roundel.golden.cycles.events import Arrivals, Clock, Process
from roundel.golden.cycles.rows import Job, TimedStep, step_words, tiles, timed_steps
from roundel.golden.cycles.weights import WeightBlock, weight_blocks
from roundel.golden.engine import STEP_BYTES, Descriptor, EngineParams, Region, column_bytes, table_bytes

OFFER = 1  # hw/engine/compute/parameters: from a stream's beat to its first word
STEPS = 5  # hw/engine/compute/parameters: steps that wait
TILES = 5  # hw/engine/compute/parameters: parameter streams that are on their way
STEP = 2  # hw/engine/compute/parameters: from a word that is a step to where the feeder sees it
GATED = 4  # hw/engine/compute/gates, unit: from `start` to the first column's factor
REGISTER = 1  # hw/engine/compute/unit: between decoder and array
LAST_COLUMN = 3 + REGISTER  # hw/decoder/unit, hw/lib/double_buffer: from a stream's beat to the whole block it ends


class ComputeStreams:
    """Streams of COMPUTE descriptors, one after the other, each asked for while the array works on the one before.

    Parameters
    ----------
    clock, params, reader
        Of the engine.
    image
        Region `PROGRAM`, (bytes,) uint8.
    address
        Where a region and an offset are.
    """

    def __init__(
        self,
        clock: Clock,
        params: EngineParams,
        reader: Reader,
        *,
        image: NDArray[np.uint8],
        address: Callable[[int, int], int],
    ):
        self.clock, self.params, self.reader = clock, params, reader
        self.image, self.address = image, address
        self.steps, self.columns, self.blocks = Arrivals(clock), Arrivals(clock), Arrivals(clock)
        self.open = Arrivals(clock)  # parameter streams
        self.begun = Arrivals(clock)  # layers whose weights are on chip
        self._steps: dict[int, list[list[TimedStep]]] = {}
        self._blocks: dict[int, list[WeightBlock]] = {}

    def steps_of(self, job: Job) -> list[list[TimedStep]]:
        """Return the steps of each output block, from the parameter stream."""
        if id(job) not in self._steps:
            descriptor = job.descriptor
            assert descriptor.parameters_region == Region.PROGRAM
            data = self.image[descriptor.parameters_offset :][: descriptor.parameters_bytes]
            self._steps[id(job)] = timed_steps(
                self.params,
                data[table_bytes(self.params, descriptor) :],
                descriptor.blocks,
                step_words(self.params, descriptor),
            )
        return self._steps[id(job)]

    def counts(self, job: Job) -> list[int]:
        """Count the steps of each output block in the parameter stream."""
        return list(map(len, self.steps_of(job)))

    def ask(self, job: Job) -> Process:
        """Ask for parameters and weights of every tile, from now on."""
        descriptor = job.descriptor
        names = (PARAMETERS, "parameters"), (WEIGHTS, "weights")
        wanted = [
            Transfer(
                channel,
                self.address(getattr(descriptor, f"{name}_region"), getattr(descriptor, f"{name}_offset")),
                getattr(descriptor, f"{name}_bytes"),
            )
            for channel, name in names[: 1 if has_gate(self.params, descriptor) else 2]
        ]
        for _ in tiles(descriptor):
            yield from self.open.room(TILES)
            yield from self.reader.transfer(*wanted)
            yield self.clock.now + 1

    def read_parameters(self, jobs: list[Job]) -> Process:
        """Columns' parameters and steps, a word of eight bytes a cycle."""
        words = self.params.columns * column_bytes(self.params) // STEP_BYTES
        at = 0
        for job in jobs:
            each = step_words(self.params, job.descriptor)
            for _ in tiles(job.descriptor):
                feed = Stream(self.reader, PARAMETERS)
                if rows := table_bytes(self.params, job.descriptor) // STEP_BYTES:
                    came = yield from feed.upto(rows * STEP_BYTES)
                    at = max(at + rows, came + OFFER)
                    feed.taken(at - OFFER)
                for count in self.counts(job):
                    yield from self.columns.room(1)
                    came = yield from feed.upto(words * STEP_BYTES)
                    at = max(at + words, self.columns.free_at + words - 1, came + OFFER)
                    feed.taken(at - OFFER)
                    self.columns.give(at + 1)
                    for _ in range(count):
                        yield from self.steps.room(STEPS // each)
                        came = yield from feed.upto(each * STEP_BYTES)
                        at = max(at + each, self.steps.free_at + each - 1, came + OFFER)
                        feed.taken(at - OFFER)
                        self.steps.give(at + 1 - each + STEP)
                yield from feed.rest(at)
                job.row.read_beats += feed.beats
                self.open.taken(at + 1)

    def blocks_of(self, job: Job) -> list[WeightBlock]:
        """Return the blocks of a tile's weight stream."""
        if id(job) not in self._blocks:
            descriptor = job.descriptor
            assert descriptor.weights_region == Region.PROGRAM
            data = self.image[descriptor.weights_offset :][: descriptor.weights_bytes].tobytes()
            columns, count = self.params.columns, sum(step.takes for steps in self.steps_of(job) for step in steps)
            self._blocks[id(job)] = weight_blocks(data, self.params.decoder, columns, count)
        return self._blocks[id(job)]

    def read_weights(self, jobs: list[Job]) -> Process:
        """Weight blocks, a column a cycle, when their bytes have come and the array has a place for them."""
        decoder, columns, bus = self.params.decoder, self.params.columns, self.params.bus_bytes
        begin, words = startup_cycles(decoder) + 1 + REGISTER + columns, header_words(0)
        at = 0
        for job in jobs:
            if has_gate(self.params, job.descriptor):
                yield from self._read_factors(job)
                continue
            for _ in tiles(job.descriptor):
                feed = Stream(self.reader, WEIGHTS)
                header = yield from feed.upto(-(-words * WORD // 8 // bus) * bus)
                free = max(at + FINISH_CYCLES[decoder.packing] - 2 - REGISTER, feed.begun, header - words + 1)
                for index, block in enumerate(self.blocks_of(job)):
                    yield from self.blocks.room(1)
                    came = yield from feed.upto(max(0, block.bus_beats - feed.beats) * bus)
                    ready = at if index else free + begin - block.cycles
                    at = max(max(ready, self.blocks.free_at) + block.cycles, came + LAST_COLUMN)
                    feed.taken(at - LAST_COLUMN + 1)
                    self.blocks.give(at)
                yield from feed.rest(at)
                job.row.read_beats += feed.beats
            del self._blocks[id(job)]

    def _read_factors(self, job: Job) -> Process:
        """Weights on chip, from the layer's start on: a column a cycle when the array has a place for a block."""
        at = (yield from self.begun.receive()) + GATED
        for _ in range(len(tiles(job.descriptor)) * job.descriptor.blocks):
            yield from self.blocks.room(1)
            at = max(at, self.blocks.free_at) + self.params.columns
            self.blocks.give(at)


def has_gate(params: EngineParams, descriptor: Descriptor) -> bool:
    """Whether the weights of a COMPUTE are on chip."""
    return params.gates and bool(descriptor.has_gate)
