"""The array and its feeder in the cycle model: beats of activations that meet weights, step by step."""

from collections import deque
from dataclasses import dataclass

from roundel.golden.cycles.activation import DIGITS, ActivationUnit
from roundel.golden.cycles.banks import Banks, ResidualReader, feed_slots, residual_words, slots_as_banks, step_banks
from roundel.golden.cycles.events import Arrivals, Process
from roundel.golden.cycles.rows import Job, TimedStep, tiles
from roundel.golden.cycles.streams import ComputeStreams, has_gate
from roundel.golden.engine import EngineParams
from roundel.golden.mac import Structure
from roundel.golden.requant import Scheme

ROW = 2  # hw/engine/compute/row_beats, tile_steps: from a row that is taken to its first request
ANSWER = 6  # hw/engine/compute/feeder: from a request to its beat
RESIDUAL = 2  # hw/engine/compute/results: from `start` to the residual's first request
CREDITS = 8  # hw/engine/compute/feeder: beats that may be on their way or wait
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
    """Feeder and array at work on one descriptor.

    Parameters
    ----------
    streams
        Of parameters and weights.
    banks
        Of the activation memory.
    job
        The descriptor.
    """

    def __init__(self, streams: ComputeStreams, banks: Banks, job: Job):
        self.streams, self.banks, self.job, self.start = streams, banks, job, streams.clock.now
        self.params, self.row, self.lead = streams.params, job.row, job.descriptor.lead
        self.tiles = tiles(job.descriptor)
        self.asked, self.used = self.start, 0  # last request of the feeder, and its slots
        self.number, self.beat = 0, self.start + 1  # beats so far; first free cycle of the array
        self.written = 0  # first cycle in which the step's first sum can be added to
        self.residual: ResidualReader | None = None
        if job.descriptor.has_residual:
            words = residual_words(self.params, job.descriptor, self.tiles)
            self.residual = ResidualReader(banks, words, self.start + RESIDUAL)
        if has_gate(self.params, job.descriptor):
            streams.begun.give(self.start)
        self.sums = self.params.sums and bool(job.descriptor.has_sums)
        self.unit: ActivationUnit | None = None
        if self.params.act_lanes and job.descriptor.activation:
            unit = ActivationUnit(self.params, self.start, self.residual, sums=self.sums)
            self.unit, self.residual = unit, None
        self.fed: deque[Fed] = deque()
        self.ahead = streams.clock.event()
        self.last_row = Arrivals(streams.clock)  # cycle in which the last row of a step is begun
        self.last_row.give(0)
        self.last_row.give(0)
        self.first_beats: deque[tuple[int, int]] = deque()  # number and cycle, of the last few steps

    def feed(self) -> Process:
        """Take steps as early as the rows of those before leave room."""
        streams, row = self.streams, self.start + 1
        for _ in self.tiles:
            for _ in range(sum(streams.counts(self.job))):
                known = yield from streams.steps.receive()
                taken = max(known, row)
                streams.steps.taken(taken + 1)
                row = max(taken + 1, (yield from self.last_row.receive()))
                self.fed.append(Fed(known, row))
                self.ahead.happens()

    def run(self) -> Process:
        """Beats of all steps, each as soon as its weights, its parameters and its step are there."""
        for tile, size in enumerate(self.tiles):
            for steps in self.streams.steps_of(self.job):
                for index, step in enumerate(steps):
                    yield from self._step(tile, size, step, first=index == 0, last=index == len(steps) - 1)
        yield self.beat - 1 + self.result + DIGITS * self.sums if self.unit is None else self.unit.end

    @property
    def result(self) -> int:
        """Cycles from a beat to the end of a layer whose last result comes of it."""
        return LAYER + dot_stages(self.params) + REQUANT[self.params.scheme]

    def _step(self, tile: int, size: tuple[int, int], step: TimedStep, *, first: bool, last: bool) -> Process:
        """Beats of one step meet its weights."""
        (w, h), takes = size, step.takes
        line = self.lead + (w - 1) * self.job.descriptor.every + 1
        beats = h * line
        while not self.fed:
            yield self.ahead
        fed = self.fed.popleft()
        self.row.waiting_parameters += max(0, fed.taken - self.beat)
        request = max(fed.row + ROW, self.asked + 1, self._credit(self.number))
        tries, forced = self._masks(tile, step, h, line)
        few = min(beats, CREDITS)
        self.asked = max(request + few - 1, self._credit(self.number + few - 1))
        self.banks.feed(self.asked + 1 - few, tries[:few], forced[:few])
        if beats <= CREDITS:
            self.last_row.give(self.asked - line)
        yield from self._await(request + ANSWER, takes, first)
        self.first_beats.append((self.number, self.beat))
        end = self._end(request, line, tries, forced, last)
        if self.sums and last and self.unit is None:
            close = first and (beats >= self.params.columns or not takes)  # whether the next block's results follow
            end += (h - 1 + close) * max(0, DIGITS - self.lead)
        if beats > CREDITS:
            self.last_row.give(self.asked - line)
        yield self.beat
        self.written = self.beat + self.lead + UNWRITTEN
        if takes:
            self.streams.blocks.taken(self.beat + self.lead)
        if first:
            self.streams.columns.taken(self.beat + self.lead + dot_stages(self.params) + 1)
        self.row.computing += w * h
        self.row.waiting_memory += end - self.beat - beats
        self.beat, self.number = end, self.number + beats

    def _await(self, answered: int, takes: bool, first: bool) -> Process:
        """Move a step's first beat to where its data, the sums before, its weights and its parameters are there."""
        self.beat = max(self.beat, answered)
        if not first:
            self.row.waiting_memory += self._late(self.written)
        if takes:
            weights = yield from self.streams.blocks.receive()
            self.row.waiting_weights += self._late(weights)
        if first:
            columns = yield from self.streams.columns.receive()
            self.row.waiting_parameters += self._late(columns)
            if self.unit is not None:
                self.row.waiting_memory += self._late(self.unit.slopes_taken + 1)

    def _late(self, cycle: int) -> int:
        """Move the next beat so that its first sum comes at `cycle` at the earliest; returns by how many cycles."""
        late = max(0, cycle - self.lead - self.beat)
        self.beat += late
        return late

    def _end(self, request: int, line: int, tries: bytes, forced: bytes, last: bool) -> int:
        """Ask for the rest of a step's beats; returns the cycle behind its last beat."""
        beats = len(tries)
        if self.residual is not None and last:
            return self._beside_residual(line, tries, forced)
        end = self.beat + beats
        if beats > CREDITS:
            self.asked = max(request + beats - 1, end - CREDITS)
            self.banks.feed(self.asked + 1 - beats + CREDITS, tries[CREDITS:], forced[CREDITS:])
        if self.residual is not None:
            self.residual.run(self.asked)
        return end if self.unit is None or not last else end + self._activate(self.unit, line, beats)

    def _activate(self, unit: ActivationUnit, line: int, beats: int) -> int:
        """Give the results of a step's beats to the activation unit; returns how long the array waits for it."""
        waited, every, fresh = 0, self.job.descriptor.every, True
        for row in range(self.beat, self.beat + beats, line):
            for beat in range(row + self.lead, row + line, every):
                row_end = beat + every >= row + line
                waited += unit.take(beat + self.result - 1 + waited, fresh=fresh, row_end=row_end)
                fresh = False
        return waited

    def _masks(self, tile: int, step: TimedStep, h: int, line: int) -> tuple[bytes, bytes]:
        """Banks that the feeder tries for the beats of a step, and those that it reads a cycle later in any case."""
        params, layer = self.params, self.job.descriptor
        y, x = divmod(tile, layer.tiles_x)
        start = layer.source + y * layer.tile_y_step + x * layer.tile_x_step + step.offset
        span = params.lanes * params.banks
        places = tuple(word * layer.word_step % params.banks for word in range(1, step.words))
        slots = feed_slots(params)
        tries, forced, used = step_banks(
            params.lanes, params.banks, start % span, h, line, layer.x_step, layer.y_step % span, bool(layer.upsample),
            slots, places,
        )  # fmt: skip
        before, self.used = slots_as_banks(self.used, params.banks, slots), used
        return tries, bytes([tries[0] & before]) + forced[1:] if tries[0] & before else forced

    def _beside_residual(self, line: int, tries: bytes, forced: bytes) -> int:
        """Beats of a step that take residuals, cycle by cycle; returns the cycle behind the last one."""
        residual, layer, banks, beat = self.residual, self.job.descriptor, self.banks, self.beat
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
        self.first_beats.extend((self.number + index, taken[index]) for index in range(first, beats))
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
