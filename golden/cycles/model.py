"""How many cycles a program takes on the engine, descriptor by descriptor, without simulating its RTL.

[R] The units of `hw/engine_*.py` as processes that pass bursts and weight blocks to each other, so that a run costs a
step for each of these and not for each cycle. Constants say of which block they are; nothing is fitted to a network.
What is left out: banks of the activation memory that two units want in one cycle, and what depends on the data (how
many bits a single weight block has: their mean is taken; what a head finds, unless it is told).
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roundel.golden.cycles.banks import Banks
from roundel.golden.cycles.boxes import ASKED_TABLES, scale_cycles
from roundel.golden.cycles.bus import (
    ANSWERED,
    FETCH,
    LOAD,
    PARAMETERS,
    Memory,
    Reader,
    Stream,
    Transfer,
    Writer,
    bursts,
)
from roundel.golden.cycles.compute import Compute
from roundel.golden.cycles.events import Clock, Event, Process
from roundel.golden.cycles.finds import Found
from roundel.golden.cycles.rows import Job, Row
from roundel.golden.cycles.sorting import suppression_cycles
from roundel.golden.cycles.store import StoreWords
from roundel.golden.cycles.streams import ComputeStreams
from roundel.golden.engine import (
    DESCRIPTOR_BYTES,
    HEADER_BYTES,
    UNIT_OF,
    UNITS,
    Descriptor,
    EngineParams,
    Opcode,
    Program,
    Region,
)

BEGIN = 2  # roundel.hw.engine.control, roundel.hw.engine.fetch: from the start register to the header's command
CHECK = 2  # roundel.hw.engine.fetch: from the header's last beat to the second descriptor's command
WHOLE = 2  # roundel.hw.engine.dispatch: from a descriptor's last beat to where it waits, whole
MOVE = 1  # roundel.hw.engine.dispatch: from `waiting` to `present`
END = 2  # roundel.hw.engine.core: from the last unit's `done` to the end of the run
RUNS = 2  # roundel.hw.engine.move.runs: from `start` to the first command
ASKED = 3  # roundel.hw.engine.move.store: from `start` to the request of the first word
PIECE = 2  # beats of LOAD whose room is taken to become free at once
LOADED = 2  # roundel.hw.engine.move.load: from the last beat to `done`, if a word is a beat
BOXED = 2  # hw/engine/boxes/unit: from the end of a scale to `done`, if it sends nothing
WORD_BYTES = 2  # of a word of tables


class Queue:
    """Descriptors of a unit: the one that it works on, and the next.

    Attributes
    ----------
    present, waiting
        They are there, whole.
    """

    def __init__(self) -> None:
        self.present: Job | None = None
        self.waiting: Job | None = None
        self.coming = False  # into `waiting`


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
    found
        What the box unit finds in each BOXES.
    """

    params: EngineParams
    image: NDArray[np.uint8]
    memory: Memory
    bases: Mapping[Region, int]
    found: Sequence[Found] = ()
    clock: Clock = field(init=False, default_factory=Clock)
    finished: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        program = Program.unpack(self.image.tobytes(), self.params)
        ended = [descriptor.opcode is Opcode.END for descriptor in program.descriptors].index(True)
        self.jobs = [
            Job(row=Row(index=index, opcode=descriptor.opcode, layer=descriptor.layer), descriptor=descriptor)
            for index, descriptor in enumerate(program.descriptors[:ended])
        ]
        self.finds = iter(self.found)
        self.reader = Reader(self.clock, self.params, self.memory)
        self.streams = ComputeStreams(self.clock, self.params, self.reader, image=self.image, address=self._address)
        self.banks = Banks()
        self.queues = [Queue() for _ in UNITS]
        self.change = self.clock.event()  # of any queue or token
        self.tokens = dict.fromkeys(((0, 1), (1, 0), (1, 2), (2, 1)), 0)  # of giver and taker
        self.writer = Writer(self.params, self.memory)

    def run(self) -> list[Row]:
        """Run the program; a row for each descriptor."""
        computes = [job for job in self.jobs if job.descriptor.opcode is Opcode.COMPUTE]
        readers = (self.streams.read_weights(computes), self.streams.read_parameters(computes))
        for process in (self._fetch(), self._streams(computes), *readers):
            self.clock.wake(process)
        for unit, work in enumerate((self._load, self._compute, self._store)):
            self.clock.wake(self._unit(unit, work))
        self.clock.run()
        if stalled := [job.row for job in self.jobs if not job.row.end]:
            raise RuntimeError(f"the cycle model stalls at descriptor {stalled[0].index} ({stalled[0].layer})")
        self.finished = max((job.row.end for job in self.jobs), default=0) + END
        return [job.row for job in self.jobs]

    def _address(self, region: int, offset: int) -> int:
        return self.bases[Region(region)] + offset

    def _fetch(self) -> Process:
        """Header and first descriptor, then descriptor after descriptor, each to the queue of its unit."""
        base, reader = self._address(Region.PROGRAM, 0), self.reader
        pieces = DESCRIPTOR_BYTES // self.params.bus_bytes
        yield BEGIN
        yield from reader.transfer(Transfer(FETCH, base, HEADER_BYTES))
        yield self.clock.now + 1
        yield from reader.transfer(Transfer(FETCH, base + HEADER_BYTES, DESCRIPTOR_BYTES))
        header, beats = yield from self._take()
        self._taken(beats, header)
        yield header + CHECK
        self.clock.wake(self._ask_descriptors(base + HEADER_BYTES))
        end = self.clock.now - 1
        for job in self.jobs:
            queue = self.queues[UNIT_OF[job.descriptor.opcode]]
            come, beats = yield from self._take(queue)
            end = max(end + pieces, come)
            while queue.waiting or queue.coming:
                yield self.change
                end = max(end, self.clock.now + pieces - 2)  # its first beat waits before the queue
            queue.coming = True
            job.row.read_beats += pieces
            self._taken(beats, end)
            self.clock.wake(self._hand_on(queue, job), end + WHOLE)

    def _ask_descriptors(self, address: int) -> Process:
        for index in range(1, len(self.jobs) + 1):
            yield from self.reader.transfer(Transfer(FETCH, address + index * DESCRIPTOR_BYTES, DESCRIPTOR_BYTES))
            yield self.clock.now + 1

    def _take(self, queue: Queue | None = None) -> Generator[int | Event, None, tuple[int, list[int]]]:
        """Wait for a whole transfer; returns the cycle of its last beat, and the beats of its bursts that are left.

        Where there is no room for the next burst, those before leave: to a queue, when that has room for a descriptor.
        """
        beats: list[int] = []
        while True:
            burst = yield from self.reader.channels[FETCH].receive()
            beats.append(burst.beats)
            last = burst.start + burst.beats - 1
            if burst.final:
                return last, beats
            if sum(beats) > self.params.fifo - self.params.burst:
                while queue is not None and (queue.waiting or queue.coming):
                    yield self.change
                self._taken(beats, max(last, self.clock.now + sum(beats)))
                beats.clear()

    def _taken(self, beats: list[int], end: int) -> None:
        """Bursts leave the channel one after the other, up to that cycle."""
        for count in reversed(beats):
            self.reader.release(FETCH, count, end)
            end -= count

    def _hand_on(self, queue: Queue, job: Job) -> Process:
        if not queue.present:
            yield self.clock.now + MOVE
        if queue.present:
            queue.waiting = job
        else:
            queue.present = job
        queue.coming = False
        self.change.happens()

    def _unit(self, unit: int, work: Callable[[Job], Process]) -> Process:
        """Descriptors of one unit, one after the other, when their tokens are there."""
        queue, is_array = self.queues[unit], unit == UNIT_OF[Opcode.COMPUTE]
        while True:
            while not queue.present or not self._may(unit, queue.present.descriptor):
                yield self.change
            job = queue.present
            for pair in self._waits(unit, job.descriptor):
                self.tokens[pair] -= 1
            yield self.clock.now + 1
            job.row.start = self.clock.now
            if is_array:
                self.clock.at(job.row.start + 1, lambda: self.reader.idle(False))
            yield from work(job)
            job.row.end = self.clock.now
            yield self.clock.now + 1
            for taker, signals in ((unit - 1, "signal_previous"), (unit + 1, "signal_next")):
                if getattr(job.descriptor, signals) and (unit, taker) in self.tokens:
                    self.tokens[unit, taker] += 1
            if is_array:
                self.clock.at(self.clock.now + 1, lambda: self.reader.idle(True))
            queue.present, queue.waiting = queue.waiting, None
            self.change.happens()

    def _waits(self, unit: int, descriptor: Descriptor) -> Iterator[tuple[int, int]]:
        if descriptor.wait_previous:
            yield unit - 1, unit
        if descriptor.wait_next:
            yield unit + 1, unit

    def _may(self, unit: int, descriptor: Descriptor) -> bool:
        return all(self.tokens.get(pair, 0) > 0 for pair in self._waits(unit, descriptor))

    def _load(self, job: Job) -> Process:
        descriptor, lanes, bus = job.descriptor, self.params.lanes, self.params.bus_bytes
        yield self.clock.now + RUNS
        self.clock.wake(self._ask_load(descriptor))
        split = max(1, bus // lanes)  # words of a beat
        at = self.clock.now  # the last beat was taken, and all its words but one written
        for _ in range(descriptor.planes * descriptor.runs):
            left, final = -(-descriptor.run_bytes // lanes), False
            while not final:
                burst = yield from self.reader.channels[LOAD].receive()
                words = min(left, burst.beats * split)
                at = max(at, burst.start - 1) + max(burst.beats, words)
                left, final = left - words, burst.final
                job.row.read_beats += burst.beats
                end = max(at + 1 - 2 * split, burst.start + burst.beats - 2) + 1
                for piece in range(0, burst.beats, PIECE):  # the last beats first
                    self.reader.release(LOAD, min(PIECE, burst.beats - piece), max(end - piece * split, self.clock.now))
                yield at
        yield at + LOADED

    def _ask_load(self, descriptor: Descriptor) -> Process:
        for plane in range(descriptor.planes):
            for run in range(descriptor.runs):
                offset = descriptor.offset + plane * descriptor.outer_plane + run * descriptor.outer_run
                yield from self.reader.transfer(
                    Transfer(LOAD, self._address(descriptor.region, offset), descriptor.run_bytes)
                )
                yield self.clock.now + 1

    def _store(self, job: Job) -> Process:
        """Words that no one else keeps STORE from reading, and bursts of them."""
        descriptor = job.descriptor
        words = StoreWords(self.params, descriptor, self.banks, self.clock.now + ASKED)
        for plane in range(descriptor.planes):
            for run in range(descriptor.runs):
                offset = descriptor.offset + plane * descriptor.outer_plane + run * descriptor.outer_run
                words.begin()
                for length in bursts(self._address(descriptor.region, offset), descriptor.run_bytes, self.params):
                    words.free = max(words.free, self.writer.open() - 1)
                    yield from words.read(length, self.clock)
                    self.writer.burst(words.free, length)
                    job.row.write_beats += length
        yield self.writer.answers[-1] + ANSWERED

    def _compute(self, job: Job) -> Process:
        if job.descriptor.opcode is Opcode.BOXES:
            yield from self._boxes(job)
            return
        compute = Compute(self.streams, self.banks, job)
        self.clock.wake(compute.feed())
        yield from compute.run()

    def _boxes(self, job: Job) -> Process:
        """Words of every location, and what was found there; with the last scale, suppression and records."""
        descriptor = job.descriptor
        found = next(self.finds, Found((), 0, 0))
        if self.params.heads:
            if descriptor.parameters_bytes:
                yield from self._tables(job)
            yield self.clock.now + scale_cycles(self.params, descriptor, found.passed) + BOXED
        else:
            places = descriptor.width * descriptor.height
            yield self.clock.now + 10 + places * (-(-descriptor.classes // self.params.lanes) + 1)
        if descriptor.last and self.found:
            yield self.clock.now + suppression_cycles(self.params, found.boxes, found.kept) + self.memory.delay

    def _tables(self, job: Job) -> Process:
        """Take the tables of a head, a word a cycle; streams of the next descriptor are asked for afterwards."""
        descriptor = job.descriptor
        address = self._address(descriptor.parameters_region, descriptor.parameters_offset)
        yield self.clock.now + ASKED_TABLES
        yield from self.reader.transfer(Transfer(PARAMETERS, address, descriptor.parameters_bytes))
        feed = Stream(self.reader, PARAMETERS)
        at = self.clock.now
        for _ in range(descriptor.parameters_bytes // WORD_BYTES):
            came = yield from feed.upto(WORD_BYTES)
            at = max(at, came) + 1
            feed.taken(at)
        yield from feed.rest(at)
        job.row.read_beats += feed.beats
        yield at - 1  # with the last word
        job.loaded = True
        self.change.happens()

    def _may_look_ahead(self, queue: Queue, job: Job) -> bool:
        """Whether streams of the next descriptor are asked for: not before the tables of a BOXES are there."""
        present = queue.present
        if job is present or present is None or present.descriptor.opcode is not Opcode.BOXES or not self.params.heads:
            return True
        return present.loaded or not present.descriptor.parameters_bytes

    def _streams(self, jobs: list[Job]) -> Process:
        """Ask for parameters and weights of every tile, one descriptor ahead of the array."""
        queue = self.queues[UNIT_OF[Opcode.COMPUTE]]
        for job in jobs:
            while job not in (queue.present, queue.waiting) or not self._may_look_ahead(queue, job):
                yield self.change
            yield self.clock.now + 1
            yield from self.streams.ask(job)
            yield self.clock.now + 1


def predict(
    params: EngineParams,
    image: NDArray[np.uint8],
    *,
    memory: Memory | None = None,
    bases: Mapping[Region, int] | None = None,
    found: Sequence[Found] = (),
) -> tuple[list[Row], int]:
    """Predict the cycles of a run.

    Parameters
    ----------
    params
        The engine.
    image
        Region `PROGRAM` of the outer memory: the program and the streams behind it, (bytes,).
    memory
        How the outer memory answers; that of `Memory` unless given.
    bases
        Where each region begins, which decides how transfers are cut to bursts; 0 unless given.
    found
        What the box unit finds in each BOXES, in order, see `found_by`; where it is not given, no box.

    Returns
    -------
    Rows of the program's descriptors, in order, and the cycles of the whole run.
    """
    model = Model(
        params=params,
        image=image,
        memory=memory or Memory(),
        bases=bases or dict.fromkeys(Region, 0),
        found=found,
    )
    return model.run(), model.finished
