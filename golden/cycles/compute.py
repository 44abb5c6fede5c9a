"""The compute unit in the cycle model: its two streams, their decoding, and the beats that meet both in the array."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.golden.bits import WORD
from roundel.golden.codec import FINISH_CYCLES, header_words, startup_cycles
from roundel.golden.cycles.banks import Banks, ResidualReader, residual_words, slots_as_banks, step_banks
from roundel.golden.cycles.bus import PARAMETERS, WEIGHTS, Reader, Stream, Transfer
from roundel.golden.cycles.events import Arrivals, Clock, Process
from roundel.golden.cycles.rows import Job, TimedStep, tiles, timed_steps
from roundel.golden.cycles.weights import WeightBlock, weight_blocks
from roundel.golden.engine import STEP_BYTES, EngineParams, Region, column_bytes
from roundel.golden.mac import Structure
from roundel.golden.requant import Scheme

OFFER = 1  # hw/engine/compute/parameters: from a stream's beat to its first word
STEPS = 5  # hw/engine/compute/parameters: steps that wait
TILES = 5  # hw/engine/compute/parameters: parameter streams that are on their way
STEP = 2  # hw/engine/compute/parameters: from a word that is a step to where the feeder sees it
ROW = 2  # hw/engine/compute/row_beats, tile_steps: from a row that is taken to its first request
ANSWER = 6  # hw/engine/compute/feeder: from a request to its beat
RESIDUAL = 2  # hw/engine/compute/results: from `start` to the residual's first request
CREDITS = 8  # hw/engine/compute/feeder: beats that may be on their way or wait
REGISTER = 1  # hw/engine/compute/unit: between decoder and array
LAST_COLUMN = (
    3 + REGISTER
)  # hw/decoder/unit, roundel.hw.lib.double_buffer: from a stream's beat to the whole block that ends in it
UNWRITTEN = 3  # hw/engine/compute/array: from a beat to the next one of its position
LAYER = 3  # hw/engine/compute/array, results: what a layer's end takes beside the sum of products and the requantizer
REQUANT = {Scheme.SHIFT: 3, Scheme.FIXED8: 3, Scheme.FIXED16: 3, Scheme.FIXED32: 4, Scheme.FLOAT32: 5}
"""Stages of `roundel.hw.engine.compute.requant`."""


@dataclass(frozen=True)
class Fed:
    """A step whose beats are asked for, or will be.

    Attributes
    ----------
    taken
        Cycle in which the feeder took it.
    row
        Cycle in which its first row can follow the last one of the step before.
    """

    taken: int
    row: int


def dot_stages(params: EngineParams) -> int:
    """roundel.hw.engine.compute.column: registers of a sum of products."""
    return params.lanes.bit_length() - 1 if params.structure is Structure.PRODUCT else 1


class Compute:
    """Runs COMPUTE descriptors one after the other; the streams of the next one are on their way meanwhile.

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
        self.stages = dot_stages(params)
        self.banks = Banks()
        self._steps: dict[int, list[list[TimedStep]]] = {}
        self._blocks: dict[int, list[WeightBlock]] = {}

    def steps_of(self, job: Job) -> list[list[TimedStep]]:
        """Return the steps of each output block, from the parameter stream."""
        if id(job) not in self._steps:
            descriptor = job.descriptor
            assert descriptor.parameters_region == Region.PROGRAM
            data = self.image[descriptor.parameters_offset :][: descriptor.parameters_bytes]
            self._steps[id(job)] = timed_steps(self.params, data, descriptor.blocks)
        return self._steps[id(job)]

    def counts(self, job: Job) -> list[int]:
        """Count the steps of each output block in the parameter stream."""
        return list(map(len, self.steps_of(job)))

    def ask(self, job: Job) -> Process:
        """Ask for parameters and weights of every tile, from now on."""
        descriptor = job.descriptor
        wanted = [
            Transfer(
                PARAMETERS,
                self.address(descriptor.parameters_region, descriptor.parameters_offset),
                descriptor.parameters_bytes,
            ),
            Transfer(
                WEIGHTS, self.address(descriptor.weights_region, descriptor.weights_offset), descriptor.weights_bytes
            ),
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
            for _ in tiles(job.descriptor):
                feed = Stream(self.reader, PARAMETERS)
                for count in self.counts(job):
                    yield from self.columns.room(1)
                    came = yield from feed.upto(words * STEP_BYTES)
                    at = max(at + words, self.columns.free_at + words - 1, came + OFFER)
                    feed.taken(at - OFFER)
                    self.columns.give(at + 1)
                    for _ in range(count):
                        yield from self.steps.room(STEPS)
                        came = yield from feed.upto(STEP_BYTES)
                        at = max(at + 1, self.steps.free_at, came + OFFER)
                        feed.taken(at - OFFER)
                        self.steps.give(at + STEP)
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

    def run(self, job: Job) -> Process:
        """Beats of all steps, each as soon as its weights, its parameters and its step are there."""
        array = _Array(self, job)
        self.clock.wake(array.feed())
        yield from array.run()


class _Array:
    """Feeder and array at work on one descriptor."""

    def __init__(self, unit: Compute, job: Job):
        self.unit, self.job, self.start = unit, job, unit.clock.now
        self.tiles = tiles(job.descriptor)
        self.asked, self.used = self.start, 0  # last request of the feeder, and its slots
        self.residual: ResidualReader | None = None
        if job.descriptor.has_residual:
            words = residual_words(unit.params, job.descriptor, self.tiles)
            self.residual = ResidualReader(unit.banks, words, self.start + RESIDUAL)
        self.fed: deque[Fed] = deque()
        self.ahead = unit.clock.event()
        self.last_row = Arrivals(unit.clock)  # cycle in which the last row of a step is begun
        self.last_row.give(0)
        self.last_row.give(0)
        self.first_beats: deque[tuple[int, int]] = deque()  # number and cycle, of the last few steps

    def feed(self) -> Process:
        """Take steps as early as the rows of those before leave room."""
        unit, row = self.unit, self.start + 1
        for _ in self.tiles:
            for _ in range(sum(unit.counts(self.job))):
                known = yield from unit.steps.receive()
                taken = max(known, row)
                unit.steps.taken(taken + 1)
                row = max(taken + 1, (yield from self.last_row.receive()))
                self.fed.append(Fed(known, row))
                self.ahead.happens()

    def run(self) -> Process:
        """Beats meet weights."""
        unit, descriptor, row = self.unit, self.job.descriptor, self.job.row
        number, beat = 0, self.start + 1  # beats so far; first free cycle of the array
        written = 0  # first cycle in which the step's first sum can be added to
        for tile, (w, h) in enumerate(self.tiles):
            line = descriptor.lead + (w - 1) * descriptor.every + 1
            beats = h * line
            for steps in unit.steps_of(self.job):
                for step, (offset, takes) in enumerate(steps):
                    while not self.fed:
                        yield self.ahead
                    fed = self.fed.popleft()
                    row.waiting_parameters += max(0, fed.taken - beat)
                    first = max(fed.row + ROW, self.asked + 1, self._credit(number))
                    tries, forced = self._masks(tile, offset, h, line)
                    few = min(beats, CREDITS)
                    self.asked = max(first + few - 1, self._credit(number + few - 1))
                    unit.banks.feed(self.asked + 1 - few, tries[:few], forced[:few])
                    if beats <= CREDITS:
                        self.last_row.give(self.asked - line)
                    beat = max(beat, first + ANSWER)
                    if step:
                        row.waiting_memory += max(0, written - descriptor.lead - beat)
                        beat = max(beat, written - descriptor.lead)
                    if takes:
                        weights = yield from unit.blocks.receive()
                        row.waiting_weights += max(0, weights - descriptor.lead - beat)
                        beat = max(beat, weights - descriptor.lead)
                    if not step:
                        columns = yield from unit.columns.receive()
                        row.waiting_parameters += max(0, columns - descriptor.lead - beat)
                        beat = max(beat, columns - descriptor.lead)
                    self.first_beats.append((number, beat))
                    last = step == len(steps) - 1
                    if self.residual is not None and last:
                        end = self._beside_residual(number, beat, line, tries, forced)
                    else:
                        end = beat + beats
                        if beats > CREDITS:
                            self.asked = max(first + beats - 1, end - CREDITS)
                            unit.banks.feed(self.asked + 1 - beats + CREDITS, tries[CREDITS:], forced[CREDITS:])
                        if self.residual is not None:
                            self.residual.run(self.asked)
                    if beats > CREDITS:
                        self.last_row.give(self.asked - line)
                    yield beat
                    written = beat + descriptor.lead + UNWRITTEN
                    if takes:
                        unit.blocks.taken(beat + descriptor.lead)
                    if not step:
                        unit.columns.taken(beat + descriptor.lead + unit.stages + 1)
                    row.computing += w * h
                    row.waiting_memory += end - beat - beats
                    beat, number = end, number + beats
        yield beat + LAYER + unit.stages + REQUANT[unit.params.scheme] - 1

    def _masks(self, tile: int, offset: int, h: int, line: int) -> tuple[bytes, bytes]:
        """Banks that the feeder tries for the beats of a step, and those that it reads a cycle later in any case."""
        params, layer = self.unit.params, self.job.descriptor
        y, x = divmod(tile, layer.tiles_x)
        start, span = layer.source + y * layer.tile_y_step + x * layer.tile_x_step + offset, params.lanes * params.banks
        tries, forced, used = step_banks(
            params.lanes, params.banks, start % span, h, line, layer.x_step, layer.y_step % span, bool(layer.upsample)
        )
        before, self.used = slots_as_banks(self.used, params.banks), used
        return tries, bytes([tries[0] & before]) + forced[1:] if tries[0] & before else forced

    def _beside_residual(self, number: int, beat: int, line: int, tries: bytes, forced: bytes) -> int:
        """Beats of a step that take residuals, cycle by cycle; returns the cycle behind the last one."""
        residual, layer, banks = self.residual, self.job.descriptor, self.unit.banks
        assert residual is not None
        few, beats = min(len(tries), CREDITS), len(tries)
        asked = [self.asked + 1 - few + index for index in range(few)]
        taken: list[int] = []
        cycle = min(beat, asked[-1] + 1)
        while len(taken) < beats:
            if len(asked) < beats and cycle > asked[-1] and len(taken) + CREDITS > len(asked):
                asked.append(cycle)
                banks.feed(cycle, tries[len(asked) - 1 : len(asked)], forced[len(asked) - 1 : len(asked)])
            residual.run(cycle)
            at = len(taken)
            if at < len(asked) and max(asked[at] + ANSWER, beat) <= cycle:
                behind = at % line - layer.lead
                computes = behind >= 0 and behind % layer.every == 0
                if not computes or residual.there(cycle):
                    taken.append(cycle)
                    if computes:
                        residual.take(cycle)
            cycle += 1
        self.asked = asked[-1]
        first = max(beats - CREDITS, 1)
        self.first_beats.extend((number + index, taken[index]) for index in range(first, beats))
        return taken[-1] + 1

    def _credit(self, number: int) -> int:
        """Earliest cycle in which a beat can be asked for: one that many before it has been taken."""
        number -= CREDITS
        if number < 0:
            return 0
        while len(self.first_beats) > 1 and self.first_beats[1][0] <= number:
            self.first_beats.popleft()
        before, cycle = self.first_beats[0]
        return cycle + number - before + 1
