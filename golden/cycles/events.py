"""A clock and processes: what the cycle model is written in.

A process is a generator that yields what it waits for: a cycle (an integer, at once if it has passed) or an `Event`.
What happens in one cycle happens in the order in which it was asked for, so that a run depends on nothing else.
"""

import heapq
from collections import deque
from collections.abc import Callable, Generator
from itertools import count


class Event:
    """Something that may happen again and again: who waits for it goes on and looks whether it was enough."""

    def __init__(self, clock: "Clock"):
        self._clock = clock
        self._waiting: list[Process] = []

    def happens(self) -> None:
        """Wake all who wait."""
        waiting, self._waiting = self._waiting, []
        for process in waiting:
            self._clock.wake(process)

    def await_by(self, process: "Process") -> None:
        """Let a process wait."""
        self._waiting.append(process)


Process = Generator[int | Event, None, None]


class Clock:
    """Runs processes until none has anything to wait for but events that no longer happen."""

    def __init__(self) -> None:
        self.now = 0
        self._order = count()
        self._due: list[tuple[int, int, Process | Callable[[], None]]] = []

    def wake(self, process: Process, cycle: int = 0) -> None:
        """Let a process go on in a cycle from now on."""
        heapq.heappush(self._due, (max(cycle, self.now), next(self._order), process))

    def at(self, cycle: int, action: Callable[[], None]) -> None:
        """Do something in a cycle from now on."""
        heapq.heappush(self._due, (max(cycle, self.now), next(self._order), action))

    def event(self) -> Event:
        """Make a new event."""
        return Event(self)

    def run(self) -> int:
        """Run to the end; returns the cycle of the last thing that happened."""
        while self._due:
            self.now, _, task = heapq.heappop(self._due)
            if not isinstance(task, Generator):
                task()
                continue
            try:
                waits_for = next(task)
            except StopIteration:
                continue
            if isinstance(waits_for, Event):
                waits_for.await_by(task)
            else:
                self.wake(task, waits_for)
        return self.now


class Arrivals:
    """What one block gives another, in order: when it is there, and when its place is free again."""

    def __init__(self, clock: Clock):
        self._event = clock.event()
        self._given: deque[int] = deque()
        self._held = 0
        self.free_at = 0

    def room(self, most: int) -> Process:
        """Wait for a place."""
        while self._held >= most:
            yield self._event
        self._held += 1

    def give(self, cycle: int) -> None:
        """Let the token be there from that cycle on."""
        self._given.append(cycle)
        self._event.happens()

    def receive(self) -> Generator[int | Event, None, int]:
        """When the next one is there."""
        while not self._given:
            yield self._event
        return self._given.popleft()

    def taken(self, cycle: int) -> None:
        """Its place is free from that cycle on."""
        self._held -= 1
        self.free_at = cycle
        self._event.happens()
