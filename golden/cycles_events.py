"""A clock and processes: what the cycle model is written in.

A process is a generator that yields what it waits for: a cycle (an integer, at once if it has passed) or an `Event`.
Processes that wake in one cycle run in the order in which they began to wait, so that a run depends on nothing else.
"""

import heapq
from collections.abc import Generator
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
            self._clock.wake(process, self._clock.now)

    def await_by(self, process: "Process") -> None:
        """Let a process wait."""
        self._waiting.append(process)


Process = Generator[int | Event, None, None]


class Clock:
    """Runs processes until none has anything to wait for but events that no longer happen."""

    def __init__(self) -> None:
        self.now = 0
        self._order = count()
        self._due: list[tuple[int, int, Process]] = []

    def wake(self, process: Process, cycle: int) -> None:
        """Let a process go on in a cycle from now on."""
        heapq.heappush(self._due, (max(cycle, self.now), next(self._order), process))

    def event(self) -> Event:
        """A new event."""
        return Event(self)

    def later(self, event: Event, cycle: int) -> None:
        """Let an event happen in a cycle from now on."""
        self.wake(_happening(event), cycle)

    def run(self) -> int:
        """Run to the end; returns the cycle of the last thing that happened."""
        while self._due:
            self.now, _, process = heapq.heappop(self._due)
            try:
                waits_for = next(process)
            except StopIteration:
                continue
            if isinstance(waits_for, Event):
                waits_for.await_by(process)
            else:
                self.wake(process, waits_for)
        return self.now


def _happening(event: Event) -> Process:
    event.happens()
    return
    yield 0
