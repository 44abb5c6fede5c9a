"""The engine's AXI4 masters in the cycle model: bursts in flight, channels that take turns, room that is booked ahead.

Constants say of which block of `hw` they are. What a slave does is `Memory`: it answers in order, one beat a cycle.
"""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from itertools import pairwise

from roundel.golden.cycles.events import Clock, Event, Process
from roundel.golden.engine import EngineParams

FETCH, LOAD, PARAMETERS, WEIGHTS = range(4)
"""Channels of the reader, as `roundel.hw.engine.bus` numbers them."""

AGAIN = (
    2  # roundel.hw.axi.read: from one burst of a channel to where its next one may be chosen, which goes a cycle later
)
HAND = 3  # roundel.hw.axi.read: from a beat on the bus to the stream
LEAVE = 2  # roundel.hw.axi.read: from a beat that leaves to the room that it makes
COMMANDS = 2  # roundel.hw.axi.read_splitter: transfers that wait in a channel
HOLD = 2  # roundel.hw.axi.read_splitter, roundel.hw.engine.bus: from a command of LOAD, or its last burst, to `hold`
SEND = 2  # roundel.hw.axi.write: from a burst's last beat to AW
WRITES = 4  # roundel.hw.axi.write: bursts that wait for their response, or for AW
ANSWERED = 2  # roundel.hw.axi.write, roundel.hw.engine.move.store: from B to the unit's `done`


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The outer memory that is assumed: in-order, one burst after the other.

    Parameters
    ----------
    delay
        Cycles from AR to the first beat on R, and from the last beat on W to B; the simulated memory takes 2 at least.
    """

    delay: int = 20


@dataclass(frozen=True)
class Burst:
    """A burst: when its first beat is at the stream, its beats, whether its transfer ends with it."""

    start: int
    beats: int
    final: bool


@dataclass(frozen=True)
class Transfer:
    """A command to the reader."""

    channel: int
    address: int
    size: int


def bursts(address: int, size: int, params: EngineParams) -> list[int]:
    """Beats of the bursts of a transfer: they end at multiples of the longest."""
    first, last = address // params.bus_bytes, (address + max(size, 1) - 1) // params.bus_bytes
    edges = range((first // params.burst + 1) * params.burst, last + 1, params.burst)
    points = [first, *edges, last + 1]
    return [after - before for before, after in pairwise(points)]


class Channel:
    """One channel: what it is to read, what is on its way, and room for the rest."""

    def __init__(self, clock: Clock, params: EngineParams):
        self.asked: deque[deque[int]] = deque()  # beats of the bursts of each transfer
        self.open = 0  # transfers that hold a place
        self.arrived: deque[Burst] = deque()
        self.room = params.fifo
        self.ready_at = 0  # earliest cycle in which the next burst may be chosen
        self.came = clock.event()

    def receive(self) -> Generator[int | Event, None, Burst]:
        """Wait for the next burst."""
        while not self.arrived:
            yield self.came
        return self.arrived.popleft()


class Reader:
    """The read master: asks for bursts in turn, as many as may be outstanding."""

    def __init__(self, clock: Clock, params: EngineParams, memory: Memory):
        self.clock, self.params, self.memory = clock, params, memory
        self.channels = [Channel(clock, params) for _ in range(4)]
        self.something, self.accepted = clock.event(), clock.event()
        self.outstanding = 0
        self.array_idle = True  # weights are then asked for behind all that LOAD asks for
        self.loads = 0  # transfers of LOAD that hold weights back
        self.given_by, self.given_at = 0, 0  # who gave the last command, and when
        self.free_at = 0  # R, behind all that was asked for
        clock.wake(self._ask())

    def transfer(self, *transfers: Transfer) -> Process:
        """Give commands that are offered side by side, each as soon as its channel has a place for it."""
        left = list(transfers)
        while left:
            for transfer in sorted(left, key=lambda transfer: transfer.channel != self.given_by):
                if self.channels[transfer.channel].open < COMMANDS:
                    self._give(transfer)
                    left.remove(transfer)
            if left:
                yield self.accepted
        yield self.given_at

    def _give(self, transfer: Transfer) -> None:
        channel = self.channels[transfer.channel]
        given = max(self.given_at + 1, self.clock.now + (self.given_by != transfer.channel))
        self.given_by, self.given_at = transfer.channel, given
        if not channel.asked:
            channel.ready_at = max(channel.ready_at, given + 1)
        channel.asked.append(deque(bursts(transfer.address, transfer.size, self.params)))
        channel.open += 1
        self.clock.at(channel.ready_at, self.something.happens)
        if transfer.channel == LOAD:
            self.clock.at(given + HOLD, lambda: self._loads(1))

    def _loads(self, change: int) -> None:
        self.loads += change
        self.something.happens()

    def idle(self, is_idle: bool) -> None:
        """Whether the compute unit is."""
        self.array_idle = is_idle
        self.something.happens()

    def release(self, channel: int, beats: int, cycle: int) -> None:
        """Beats leave the channel's FIFO, the last one in that cycle."""

        def leave() -> None:
            self.channels[channel].room += beats
            self.something.happens()

        self.clock.at(cycle + LEAVE, leave)

    def _ask(self) -> Process:
        """Choose a channel in one cycle; its burst goes in the next, or when one less is outstanding."""
        turn, most = 0, max(2, self.params.outstanding)
        while True:
            number = self._next(turn)
            if number is None:
                yield self.something
                continue
            turn = number
            yield self.clock.now + 1
            while self.outstanding >= most:
                yield self.something
            self._go(number)

    def _next(self, turn: int) -> int | None:
        """Return the channel whose turn it is, of those that may have a burst now."""
        now, count = self.clock.now, len(self.channels)
        for number in ((turn + step) % count for step in range(1, count + 1)):
            channel = self.channels[number]
            held = number == WEIGHTS and self.array_idle and self.loads > 0
            if channel.asked and channel.room >= self.params.burst and channel.ready_at <= now and not held:
                return number
        return None

    def _go(self, number: int) -> None:
        channel, now = self.channels[number], self.clock.now
        beats = channel.asked[0].popleft()
        final = not channel.asked[0]
        if final:
            channel.asked.popleft()
            self.clock.at(now + 1, lambda: self._accept(channel))
            if number == LOAD:
                self.clock.at(now + HOLD, lambda: self._loads(-1))
        channel.room -= beats
        channel.ready_at = now + AGAIN
        self.clock.at(channel.ready_at, self.something.happens)
        self.outstanding += 1
        start = max(now + 1 + self.memory.delay, self.free_at)
        self.free_at = start + beats
        self.clock.at(start, lambda: self._arrive(channel, Burst(start + HAND, beats, final)))
        self.clock.at(start + beats, self._through)

    def _accept(self, channel: Channel) -> None:
        channel.open -= 1
        self.accepted.happens()

    def _arrive(self, channel: Channel, burst: Burst) -> None:
        channel.arrived.append(burst)
        channel.came.happens()

    def _through(self) -> None:
        self.outstanding -= 1
        self.something.happens()


class Stream:
    """A transfer on its way to who takes it piece by piece."""

    def __init__(self, reader: Reader, channel: int):
        self.reader, self.channel = reader, channel
        self.beats = 0  # taken so far
        self.begun = 0  # cycle of the first beat
        self._bytes = 0  # of them, those that nobody has asked for
        self._burst = Burst(0, 0, False)
        self._used = 0  # beats of the burst
        self._left: list[tuple[Burst, int]] = []  # bursts that are used up, and `beats` at their end

    def upto(self, more: int) -> Generator[int | Event, None, int]:
        """Ask for so many more bytes; returns when the last of them is there."""
        bus = self.reader.params.bus_bytes
        self._bytes -= more
        while self._bytes < 0:
            if self._used == self._burst.beats:
                self._make_room()
                self._burst, self._used = (yield from self.reader.channels[self.channel].receive()), 0
                self.begun = self.begun or self._burst.start
            beats = min(-(self._bytes // bus), self._burst.beats - self._used)
            self._used, self._bytes, self.beats = self._used + beats, self._bytes + beats * bus, self.beats + beats
            if self._used == self._burst.beats:
                self._left.append((self._burst, self.beats))
        return self._burst.start + self._used - 1

    def _make_room(self) -> None:
        """Let what has come leave at once, where there is no room for another burst before that."""
        params, held = self.reader.params, sum(burst.beats for burst, _ in self._left)
        if held > params.fifo - params.burst:
            for burst, _ in self._left:
                self.reader.release(self.channel, burst.beats, burst.start + burst.beats - 1)
            self._left.clear()

    def taken(self, cycle: int) -> None:
        """Note that what was asked for is taken by then, a beat a cycle."""
        for burst, end in self._left:
            self.reader.release(self.channel, burst.beats, cycle - (self.beats - end))
        self._left.clear()

    def rest(self, cycle: int) -> Process:
        """Take what follows behind the last byte that was asked for."""
        while not (self._burst.final and self._used == self._burst.beats):
            yield from self.upto(self._bytes + 1)
        self.taken(cycle)


class Writer:
    """The write master: sends a burst once it has all of it.

    Attributes
    ----------
    answers
        Cycles of the last responses on B, as many as may be outstanding.
    """

    def __init__(self, params: EngineParams, memory: Memory):
        self.params, self.memory = params, memory
        self.answers: deque[int] = deque([0] * WRITES, WRITES)
        self.gone: deque[int] = deque([0] * WRITES, WRITES)  # when bursts that were collected went to AW
        self.sent = 0  # last beat on W

    def open(self) -> int:
        """Return the first cycle in which a beat of a new burst may come."""
        return self.gone[0] + 1

    def burst(self, last: int, length: int) -> None:
        """Send a burst whose last beat came in a cycle."""
        go = max(last, self.answers[0]) + 1
        self.gone.append(go)
        self.sent = max(self.sent, go + SEND - 1) + length  # data are taken from the cycle after AW on
        self.answers.append(self.sent + self.memory.delay)
