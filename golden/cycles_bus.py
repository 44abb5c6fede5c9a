"""The engine's AXI4 masters in the cycle model: bursts in flight, channels that take turns, room that is booked ahead.

Constants say of which block of `hw` they are. What a slave does is `Memory`: it answers in order, one beat a cycle.
"""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from itertools import pairwise

from golden.cycles_events import Clock, Event, Process
from golden.engine_params import EngineParams

FETCH, LOAD, PARAMETERS, WEIGHTS = range(4)
"""Channels of the reader, as `hw.engine_bus` numbers them."""

ASK = 3  # hw.axi_read: cycles from a command to ARVALID
TURN = 3  # hw.axi_read: cycles from one burst of a channel to its next
HAND = 3  # hw.axi_read: cycles from a beat on the bus to the stream
COMMANDS = 2  # hw.axi_read: transfers that wait in a channel
SEND = 2  # hw.axi_write: cycles from a burst's last beat to AW
ANSWERED = 2  # hw.axi_write, hw.engine_store: cycles from B to the unit's `done`


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The outer memory that is assumed: in-order, one burst after the other.

    Parameters
    ----------
    delay
        Cycles from AR to the first beat on R, and from the last beat on W to B.
    """

    delay: int = 20


@dataclass(frozen=True)
class Burst:
    """A burst: when its first beat is at the stream, its beats, whether its transfer ends with it."""

    start: int
    beats: int
    final: bool


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
        self.arrived: deque[Burst] = deque()
        self.room = params.fifo
        self.ready_at = 0  # earliest cycle of the next burst
        self.changed, self.came, self.accepted = clock.event(), clock.event(), clock.event()

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
        self.something = clock.event()
        self.beats = [0] * len(self.channels)
        self.outstanding = 0
        self.given_by, self.given_at = 0, 0  # who gave the last command, and when
        self.free_at = 0  # R, behind all that was asked for
        clock.wake(self._ask(), 0)

    def transfer(self, channel: int, address: int, size: int) -> Generator[int | Event, None, None]:
        """Give a command, once the channel has a place for it."""
        one = self.channels[channel]
        while len(one.asked) >= COMMANDS:
            yield one.accepted
        given = max(self.given_at + 1, self.clock.now + (self.given_by != channel))
        self.given_by, self.given_at = channel, given
        if not one.asked:
            one.ready_at = max(one.ready_at, given + ASK - 1)
        one.asked.append(deque(bursts(address, size, self.params)))
        self.clock.later(self.something, one.ready_at)

    def release(self, channel: int, beats: int) -> None:
        """Beats have left the channel's FIFO."""
        self.channels[channel].room += beats
        self.something.happens()

    def _ask(self) -> Process:
        turn, most = 0, max(2, self.params.outstanding)
        while True:
            number = self._next(turn) if self.outstanding < most else None
            if number is None:
                yield self.something
                continue
            turn = number
            yield from self._burst(number)

    def _next(self, turn: int) -> int | None:
        """The channel whose turn it is, of those that may have a burst now."""
        now, count = self.clock.now, len(self.channels)
        for number in ((turn + step) % count for step in range(1, count + 1)):
            one = self.channels[number]
            if one.asked and one.room >= self.params.burst:
                if one.ready_at <= now:
                    return number
                self.clock.later(self.something, one.ready_at)
        return None

    def _burst(self, number: int) -> Process:
        one, now = self.channels[number], self.clock.now
        beats = one.asked[0].popleft()
        final = not one.asked[0]
        if final:
            one.asked.popleft()
            one.accepted.happens()
        one.room -= beats
        one.ready_at = now + TURN
        self.beats[number] += beats
        self.outstanding += 1
        start = max(now + 1 + self.memory.delay, self.free_at)
        self.free_at = start + beats
        self.clock.wake(self._arrive(one, Burst(start + HAND, beats, final)), start)
        self.clock.wake(self._through(), start + beats)
        yield now + 1

    def _arrive(self, channel: Channel, burst: Burst) -> Process:
        channel.arrived.append(burst)
        channel.came.happens()
        return
        yield 0

    def _through(self) -> Process:
        self.outstanding -= 1
        self.something.happens()
        return
        yield 0


def written(address: int, size: int, first: int, rate: float, sent: int, params: EngineParams) -> int:
    """Cycle in which the last beat of a transfer is on W.

    Parameters
    ----------
    address, size
        Of the transfer.
    first, rate
        Cycle in which its first beat comes from its unit, and cycles from beat to beat.
    sent
        Cycle in which the last beat before it was on W.
    """
    beats = 0
    for length in bursts(address, size, params):
        beats += length
        come = first + int((beats - 1) * rate)
        sent = max(sent, come + SEND) + length
    return sent
