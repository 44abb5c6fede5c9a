"""How many cycles a program takes on the engine, descriptor by descriptor, without simulating its RTL.

[R] The units of `hw/engine_*.py` as processes that pass bursts and weight blocks to each other, so that a run costs a
step for each of these and not for each cycle. Constants say of which block they are; nothing is fitted to a network.
What is left out: banks of the activation memory that two units want in one cycle, and what depends on the data (how
many boxes there are, how many symbols `relative` and `rice` need for a weight block: their mean is taken).
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from golden.cycles_bus import ANSWERED, FETCH, LOAD, PARAMETERS, WEIGHTS, Burst, Memory, Reader, written
from golden.cycles_events import Clock, Event, Process
from golden.engine_params import EngineParams
from golden.program import (
    DESCRIPTOR_BYTES,
    HEADER_BYTES,
    STEP_BYTES,
    Descriptor,
    Opcode,
    Program,
    Region,
    column_bytes,
)

UNITS = ("load", "compute", "store")
UNIT_OF = {Opcode.LOAD: 0, Opcode.COMPUTE: 1, Opcode.BOXES: 1, Opcode.STORE: 2}

BEGIN = 2  # hw.engine_control, hw.engine_fetch: from the start register to the header's command
CHECK = 2  # hw.engine_fetch: from the header's last beat to the first descriptor's command
QUEUE = 2  # hw.engine_queue: from a descriptor's last beat to where its unit sees it
START = 2  # hw.engine_tokens: from the last token, or from a descriptor that is seen, to `start`
FILL = 9  # hw.engine_feeder: from `start` to the first beat
LATE = 8  # hw.engine_feeder: from a step that was waited for to its first beat
STEPS = 5  # hw.engine_parameters: steps that wait
STEP = 3  # hw.engine_parameters: from a step's beat to the feeder
COLUMN = 2  # hw.engine_parameters, hw.double_buffer: from the last column's beat until a beat may take them
MOVE = 2  # hw.engine_load, hw.engine_store: from `start` to the first command
READ_AHEAD = 6  # hw.engine_store: from `start` to the first word
DECODE = 14  # hw.decoder: from a stream's first beat to its first weights


@dataclass(kw_only=True)
class Row:
    """A descriptor that ran.

    Attributes
    ----------
    index, opcode, layer
        Its number, its operation and its network layer's number.
    start, end
        Cycles in which it began and was through, counted from the start of the run.
    computing, waiting_weights, waiting_parameters
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
    read_beats: int = 0
    write_beats: int = 0


@dataclass(kw_only=True, eq=False)
class Job:
    """A descriptor on its way through the engine."""

    row: Row
    descriptor: Descriptor
    there: bool = False  # its unit sees it


@dataclass(kw_only=True, eq=False)
class Model:
    """One run.

    Parameters
    ----------
    params
        Of the engine.
    image
        Region `PROGRAM`, (bytes,) uint8.
    memory
        The outer memory.
    bases
        Of the regions; only their place within a burst counts.
    """

    params: EngineParams
    image: NDArray[np.uint8]
    memory: Memory
    bases: Mapping[Region, int]
    clock: Clock = field(init=False, default_factory=Clock)
    finished: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        program = Program.unpack(self.image.tobytes(), self.params)
        ended = [one.opcode is Opcode.END for one in program.descriptors].index(True)
        rows = [
            Row(index=index, opcode=one.opcode, layer=one.layer)
            for index, one in enumerate(program.descriptors[:ended])
        ]
        self.jobs = [Job(row=row, descriptor=one) for row, one in zip(rows, program.descriptors, strict=False)]
        self.reader = Reader(self.clock, self.params, self.memory)
        self.seen = [deque[Job]() for _ in UNITS]  # of each unit, present first
        self.change = self.clock.event()  # of any queue or token
        self.tokens = dict.fromkeys(((0, 1), (1, 0), (1, 2), (2, 1)), 0)  # of giver and taker
        self.sent = 0  # last beat on W
        self.blocks = _Arrivals(self.clock)
        self.columns = _Arrivals(self.clock)
        self.steps = _Arrivals(self.clock)

    def run(self) -> list[Row]:
        """Run the program; a row for each descriptor."""
        computes = [job for job in self.jobs if job.descriptor.opcode is Opcode.COMPUTE]
        for process in (self._fetch(), self._streams(computes), self._weights(computes), self._parameters(computes)):
            self.clock.wake(process, 0)
        for unit, work in enumerate((self._load, self._compute_unit, self._store)):
            self.clock.wake(self._unit(unit, work), 0)
        self.clock.run()
        self.finished = max((job.row.end for job in self.jobs), default=0) + START
        return [job.row for job in self.jobs]

    def _address(self, region: int, offset: int) -> int:
        return self.bases[Region(region)] + offset

    def _fetch(self) -> Process:
        """Header, then descriptor after descriptor, each to the queue of its unit."""
        base, reader = self._address(Region.PROGRAM, 0), self.reader
        yield BEGIN
        yield from reader.transfer(FETCH, base, HEADER_BYTES)
        yield (yield from self._take(FETCH)) + CHECK
        self.clock.wake(self._ask_descriptors(base + HEADER_BYTES), 0)
        for job in self.jobs:
            at = yield from self._take(FETCH)
            queue = self.seen[UNIT_OF[job.descriptor.opcode]]
            yield at
            while len(queue) >= 2:
                yield self.change
            queue.append(job)
            job.there = False
            self.clock.wake(self._see(job), max(at, self.clock.now) + QUEUE)
            job.row.read_beats += DESCRIPTOR_BYTES // self.params.bus_bytes

    def _ask_descriptors(self, address: int) -> Process:
        for index in range(len(self.jobs) + 1):
            yield from self.reader.transfer(FETCH, address + index * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES)

    def _see(self, job: Job) -> Process:
        job.there = True
        self.change.happens()
        return
        yield 0

    def _take(self, channel: int) -> Generator[int | Event, None, int]:
        """Take a whole transfer as it comes; returns the cycle of its last beat."""
        while True:
            burst: Burst = yield from self.reader.channels[channel].receive()
            end = burst.start + burst.beats - 1
            yield end
            self.reader.release(channel, burst.beats)
            if burst.final:
                return end

    def _unit(self, unit: int, work: Callable[[Job], Process]) -> Process:
        """Descriptors of one unit, one after the other, when their tokens are there."""
        queue = self.seen[unit]
        while True:
            while not queue or not queue[0].there or not self._may(unit, queue[0].descriptor):
                yield self.change
            job = queue[0]
            self._spend(unit, job.descriptor)
            yield self.clock.now + START - 1
            job.row.start = self.clock.now
            yield from work(job)
            job.row.end = self.clock.now
            queue.popleft()
            for taker, signals in ((unit - 1, "signal_previous"), (unit + 1, "signal_next")):
                if getattr(job.descriptor, signals) and (unit, taker) in self.tokens:
                    self.tokens[unit, taker] += 1
            yield self.clock.now + 1
            self.change.happens()

    def _waits(self, unit: int, one: Descriptor) -> Iterator[tuple[int, int]]:
        if one.wait_previous:
            yield unit - 1, unit
        if one.wait_next:
            yield unit + 1, unit

    def _may(self, unit: int, one: Descriptor) -> bool:
        return all(self.tokens.get(pair, 0) > 0 for pair in self._waits(unit, one))

    def _spend(self, unit: int, one: Descriptor) -> None:
        for pair in self._waits(unit, one):
            self.tokens[pair] -= 1

    def _load(self, job: Job) -> Process:
        one, lanes, bus = job.descriptor, self.params.lanes, self.params.bus_bytes
        yield self.clock.now + MOVE
        self.clock.wake(self._ask_load(one), 0)
        end, words = self.clock.now, max(1.0, bus / lanes)
        for _ in range(one.planes * one.runs):
            left = -(-one.run_bytes // lanes) * words
            final = False
            while not final:
                burst: Burst = yield from self.reader.channels[LOAD].receive()
                taken = min(left, burst.beats * words)
                end = max(end, burst.start - 1) + max(burst.beats, int(taken))
                left, final = left - taken, burst.final
                job.row.read_beats += burst.beats
                yield end
                self.reader.release(LOAD, burst.beats)
        yield end + 2

    def _ask_load(self, one: Descriptor) -> Process:
        for plane in range(one.planes):
            for run in range(one.runs):
                offset = one.offset + plane * one.outer_plane + run * one.outer_run
                yield from self.reader.transfer(LOAD, self._address(one.region, offset), one.run_bytes)

    def _store(self, job: Job) -> Process:
        one, lanes, bus = job.descriptor, self.params.lanes, self.params.bus_bytes
        words, beats = -(-one.run_bytes // lanes), -(-one.run_bytes // bus)
        come, total = self.clock.now + READ_AHEAD, max(words, beats)
        for plane in range(one.planes):
            for run in range(one.runs):
                offset = one.offset + plane * one.outer_plane + run * one.outer_run
                address = self._address(one.region, offset)
                first = come + total / beats - 1
                self.sent = written(address, one.run_bytes, int(first) + 1, total / beats, self.sent, self.params)
                job.row.write_beats += beats
                come += total
        yield max(come, self.sent + self.memory.delay) + ANSWERED

    def _compute_unit(self, job: Job) -> Process:
        yield from self._boxes(job) if job.descriptor.opcode is Opcode.BOXES else self._compute(job)

    def _compute(self, job: Job) -> Process:
        """Beats of all steps, each as soon as its weights, its parameters and its step are there."""
        one, row = job.descriptor, job.row
        beat = self.clock.now + FILL
        for w, h in tiles(one):
            beats = h * (one.lead + (w - 1) * one.every + 1)
            for count in self._counts(job):
                for step in range(count):
                    known = yield from self.steps.receive()
                    if known + 1 > beat - LATE:  # the feeder had nothing left to do
                        late = max(0, known + LATE - beat)
                        row.waiting_parameters, beat = row.waiting_parameters + late, beat + late
                    weights = yield from self.blocks.receive()
                    row.waiting_weights += max(0, weights - one.lead - beat)
                    beat = max(beat, weights - one.lead)
                    if not step:
                        columns = yield from self.columns.receive()
                        row.waiting_parameters += max(0, columns - one.lead - beat)
                        beat = max(beat, columns - one.lead)
                    yield beat
                    self.steps.taken(beat)
                    self.blocks.taken(beat + one.lead)
                    if not step:
                        self.columns.taken(beat + one.lead + self._dot_stages + 1)
                    row.computing += w * h
                    beat += beats
        yield beat + self._latency

    @property
    def _dot_stages(self) -> int:
        """hw.engine_dot: registers of a sum of products."""
        return 3 if self.params.lanes > 4 else 2

    @property
    def _latency(self) -> int:
        """hw.engine_array, hw.engine_target: from the last beat taken to the unit's `done`."""
        return 3 + self._dot_stages + 2

    def _boxes(self, job: Job) -> Process:
        """Words of every location, and of the scale that ends the image what the suppression takes."""
        one = job.descriptor
        places = one.width * one.height
        yield self.clock.now + 10 + places * (-(-one.classes // self.params.lanes) + 1)

    def _counts(self, job: Job) -> list[int]:
        """Steps of each output block, read from the parameter stream."""
        cached = self._known.get(job.row.index)
        if cached is None:
            one = job.descriptor
            assert one.parameters_region == Region.PROGRAM
            data = self.image[one.parameters_offset :][: one.parameters_bytes]
            cached = self._known[job.row.index] = step_counts(self.params, data, one.blocks)
        return cached

    _known: dict[int, list[int]] = field(init=False, default_factory=dict)

    def _streams(self, jobs: list[Job]) -> Process:
        """Ask for parameters and weights of every tile, one descriptor ahead of the array."""
        for job in jobs:
            one = job.descriptor
            while not job.there or job not in list(self.seen[1])[:2]:
                yield self.change
            yield self.clock.now + 1
            for _ in tiles(one):
                for channel, name in ((PARAMETERS, "parameters"), (WEIGHTS, "weights")):
                    region, offset = getattr(one, f"{name}_region"), getattr(one, f"{name}_offset")
                    yield from self.reader.transfer(
                        channel, self._address(region, offset), getattr(one, f"{name}_bytes")
                    )

    def _parameters(self, jobs: list[Job]) -> Process:
        """Columns' parameters and steps, a word of eight bytes a cycle."""
        words = self.params.columns * column_bytes(self.params) // STEP_BYTES
        for job in jobs:
            for _ in tiles(job.descriptor):
                feed = _Stream(self, PARAMETERS, job.row)
                for count in self._counts(job):
                    yield from self.columns.room(1)
                    at = yield from feed.upto(words * STEP_BYTES, self.columns.free_at - 1 + words)
                    self.columns.give(at + COLUMN)
                    for _ in range(count):
                        yield from self.steps.room(STEPS)
                        at = yield from feed.upto(STEP_BYTES, self.steps.free_at)
                        self.steps.give(at + STEP)

    def _weights(self, jobs: list[Job]) -> Process:
        """Weight blocks, a column a cycle, when their bytes have come and the array has a place for them."""
        for job in jobs:
            one, total = job.descriptor, sum(self._counts(job))
            for _ in tiles(one):
                feed = _Stream(self, WEIGHTS, job.row)
                at = 0
                for block in range(total):
                    share = one.weights_bytes * (block + 1) // total - one.weights_bytes * block // total
                    yield from self.blocks.room(1)
                    came = yield from feed.upto(share, 0)
                    came = max(came, feed.begun + DECODE + self.params.columns)
                    busy = max(self.params.columns, -(-share // self.params.bus_bytes))  # cycles of the decoder
                    at = max(came, at + busy, self.blocks.free_at + busy)
                    self.blocks.give(at)


class _Arrivals:
    """What one block gives another, in order: when it is there, and when its place is free again."""

    def __init__(self, clock: Clock):
        self.clock, self.event = clock, clock.event()
        self.given: deque[int] = deque()
        self.held, self.free_at = 0, 0

    def room(self, most: int) -> Generator[int | Event, None, None]:
        """Wait for a place."""
        while self.held >= most:
            yield self.event
        self.held += 1

    def give(self, cycle: int) -> None:
        """It is there from that cycle on."""
        self.given.append(cycle)
        self.event.happens()

    def receive(self) -> Generator[int | Event, None, int]:
        """When the next one is there."""
        while not self.given:
            yield self.event
        return self.given.popleft()

    def taken(self, cycle: int) -> None:
        """Its place is free from that cycle on."""
        self.held -= 1
        self.free_at = cycle
        self.event.happens()


class _Stream:
    """A transfer on its way: when so many of its bytes have come."""

    def __init__(self, model: Model, channel: int, row: Row):
        self.model, self.channel, self.row = model, channel, row
        self.bytes, self.at, self.begun = 0, 0, 0
        self.burst: Burst | None = None
        self.used = 0  # beats of the burst

    def upto(self, more: int, least: int) -> Generator[int | Event, None, int]:
        """Take so many more bytes; returns when the last of them is there, `least` at the earliest."""
        self.bytes -= more
        while self.bytes < 0:
            yield from self._beat()
        self.at = max(self.at, least)
        return self.at

    def _beat(self) -> Generator[int | Event, None, None]:
        reader, bus = self.model.reader, self.model.params.bus_bytes
        if self.burst is None:
            first = not self.begun
            self.burst = yield from reader.channels[self.channel].receive()
            self.used = 0
            if first:
                self.begun = self.burst.start
        missing = (bus - 1 - self.bytes) // bus
        taken = min(missing, self.burst.beats - self.used)
        self.used, self.bytes = self.used + taken, self.bytes + taken * bus
        self.at = max(self.at + taken, self.burst.start + self.used - 1)
        self.row.read_beats += taken
        if self.used == self.burst.beats:
            beats, self.burst = self.burst.beats, None
            yield self.at
            reader.release(self.channel, beats)


def tiles(one: Descriptor) -> list[tuple[int, int]]:
    """Width and height of every tile of a COMPUTE descriptor, in order."""
    widths = [one.tile_w] * (one.tiles_x - 1) + [one.last_w]
    heights = [one.tile_h] * (one.tiles_y - 1) + [one.last_h]
    return [(w, h) for h in heights for w in widths]


def step_counts(params: EngineParams, data: NDArray[np.uint8], blocks: int) -> list[int]:
    """Steps of each output block of a parameter stream, (bytes,)."""
    words = data.reshape(-1, STEP_BYTES)
    skip, last = params.columns * column_bytes(params) // STEP_BYTES, words[:, 5] & 1
    ends = np.flatnonzero(last)
    counts, at = [], 0
    for _ in range(blocks):
        at += skip
        end = int(ends[np.searchsorted(ends, at)])
        counts.append(end + 1 - at)
        at = end + 1
    return counts


def predict(
    params: EngineParams,
    image: NDArray[np.uint8],
    *,
    memory: Memory | None = None,
    bases: Mapping[Region, int] | None = None,
) -> tuple[list[Row], int]:
    """Rows of a program's descriptors, and the cycles of the whole run."""
    model = Model(
        params=params,
        image=image,
        memory=memory or Memory(),
        bases=bases or dict.fromkeys(Region, 0),
    )
    return model.run(), model.finished
