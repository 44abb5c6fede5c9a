"""Tokens: they order descriptors of different units, which run side by side, wherever the order matters.

Tasks are listed in an order in which they could run one after the other. Two tasks of different units that touch the
same memory, at least one of them writing, must not overlap: the later task waits for a token of the earlier one. Units
pass tokens to their neighbours only, so a computation between a load and a store passes them on; where there is none, a
computation of a single word is inserted (`fence`).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from roundel.golden.engine import UNIT_OF, Opcode
from roundel.golden.rounding import Ints

MOST_TOKENS = 100  # that wait at once, or about twice as many; a count goes to 255

NEAR = 4  # computations after a store among which one uses its buffer again

NOTHING: Ints = np.zeros((0, 2), dtype=np.int64)


@dataclass(kw_only=True, eq=False)
class Task:
    """A descriptor, and the memory that it touches.

    Parameters
    ----------
    opcode, values
        Opcode and fields of the descriptor.
    layer
        The network's layer; "" for none.
    macs
        Number of products of the network.
    reads, writes
        (spans, 2): from ... to below ..., words on chip, or bytes of the outer memory (`outer_line`).
    steps
        Number of weight blocks kept, and including those that are zero.
    further
        Number of those kept that hold what the usual digits of weights, or the layer's pattern, could not.
    """

    opcode: Opcode
    values: dict[str, int]
    layer: str
    macs: int = 0
    reads: Ints = field(default_factory=lambda: NOTHING)
    writes: Ints = field(default_factory=lambda: NOTHING)
    steps: tuple[int, int] = (0, 0)
    further: int = 0

    @property
    def unit(self) -> int:
        """0 load, 1 compute, 2 store."""
        return UNIT_OF[self.opcode]


def outer_line(region: int, spans: Ints) -> Ints:
    """Spans of an outer region as such of one line of addresses, on which words on chip come first."""
    return spans + (region + 1 << 32)


def conflict(a: Task, b: Task) -> bool:
    """Whether two tasks touch the same memory, one of them writing."""
    return _meet(a.writes, b.writes) or _meet(a.writes, b.reads) or _meet(a.reads, b.writes)


def _meet(a: Ints, b: Ints) -> bool:
    return len(a) > 0 and len(b) > 0 and bool(((a[:, None, 0] < b[:, 1]) & (b[:, 0] < a[:, None, 1])).any())


class Touched:
    """Memory that the tasks of one unit read, or write: spans by the number of the task in its unit."""

    def __init__(self) -> None:
        self._rows = np.zeros((3, 64), dtype=np.int64)  # from, to below, number
        self._count = 0

    def add(self, spans: Ints, number: int) -> None:
        """Those of the next task."""
        while self._count + len(spans) > self._rows.shape[1]:
            self._rows = np.concatenate([self._rows, 0 * self._rows], axis=1)
        end = self._count + len(spans)
        self._rows[:2, self._count : end], self._rows[2, self._count : end] = spans.T, number
        self._count = end

    def latest(self, spans: Ints, since: int) -> int:
        """Return the last task from number `since` on that touches any of these; -1 if none does."""
        first = int(np.searchsorted(self._rows[2, : self._count], since))
        start, stop, number = self._rows[:, first : self._count]
        hits = (np.flatnonzero((start < span[1]) & (span[0] < stop)) for span in spans)
        return max((int(number[hit[-1]]) for hit in hits if len(hit)), default=-1)


class Unit:
    """The tasks of one unit, in order, to be searched for conflicts.

    Attributes
    ----------
    places
        Place of each task in the program.
    """

    def __init__(self) -> None:
        self.places: list[int] = []
        self._reads, self._writes = Touched(), Touched()

    def __len__(self) -> int:
        return len(self.places)

    def add(self, task: Task, place: int) -> None:
        """Append the next task, and its place in the program."""
        self._reads.add(task.reads, len(self))
        self._writes.add(task.writes, len(self))
        self.places.append(place)

    def latest(self, task: Task, since: int = 0) -> int:
        """Return the last of the tasks from number `since` on that `task` conflicts with; -1 if none does."""
        return max(
            self._writes.latest(task.reads, since),
            self._writes.latest(task.writes, since),
            self._reads.latest(task.writes, since),
        )


def order(tasks: Sequence[Task], fence: Callable[[], Task]) -> list[Task]:
    """Return the tasks with fences between them and tokens in their `values`."""
    fenced, relays = _relays(tasks, fence)
    _tokens(fenced, relays)
    return fenced


def _relays(tasks: Sequence[Task], fence: Callable[[], Task]) -> tuple[list[Task], dict[int, list[int]]]:
    """Tasks with fences, and by task those before it that it must wait for on behalf of others."""
    placed: list[Task] = []
    units = [Unit(), Unit(), Unit()]
    relays: dict[int, list[int]] = {}
    for task in tasks:
        latest = -1 if task.unit == 1 else units[2 - task.unit].latest(task)
        if latest >= 0:
            last, computing = units[2 - task.unit].places[latest], units[1]
            between = computing.places[bisect_right(computing.places, last) :]
            if not between:
                placed.append(fence())
                computing.add(placed[-1], len(placed) - 1)
                between = computing.places[-1:]
            relay = _relay(placed, between, last)
            relays.setdefault(relay, []).append(last)
            relays.setdefault(len(placed), []).append(relay)
        units[task.unit].add(task, len(placed))
        placed.append(task)
    return placed, relays


def _relay(tasks: Sequence[Task], between: Sequence[int], last: int) -> int:
    """Which computation passes a token on: one that waits for task `last` anyway, or else the last of them.

    Any other would wait for nothing of its own, and stop the computing: the first after a store is its neighbour, which
    should run beside it.
    """
    near = (at for at in between[:NEAR] if conflict(tasks[last], tasks[at]))
    return next(near, between[-1])


def _tokens(tasks: list[Task], relays: dict[int, list[int]]) -> None:
    """Set the tokens' flags: every task waits for the last task of each neighbour that it must not overlap.

    A clock of each task tells how many tasks of each unit are through when it begins; what it already tells needs no
    token.
    """
    units = [Unit(), Unit(), Unit()]
    clocks: list[list[int]] = []
    number: list[int] = []  # of each task in its unit
    given: dict[tuple[int, int], list[tuple[int, int]]] = {}  # by unit and unit: giver and taker of every token
    for index, task in enumerate(tasks):
        mine = units[task.unit]
        clock = list(clocks[mine.places[-1]]) if len(mine) else [0, 0, 0]
        clock[task.unit] = len(mine)
        for unit in (task.unit - 1, task.unit + 1):
            if not 0 <= unit <= 2:
                continue
            wanted = [number[other] for other in relays.get(index, []) if tasks[other].unit == unit]
            wanted.append(units[unit].latest(task, clock[unit]))
            taken = given.get((task.unit, unit), [])
            if len(taken) >= MOST_TOKENS:
                wanted.append(taken[-MOST_TOKENS][1])
            latest = max(wanted)
            if latest >= clock[unit]:
                giver = units[unit].places[latest]
                tasks[giver].values["signal_next" if task.unit > unit else "signal_previous"] = 1
                task.values["wait_previous" if task.unit > unit else "wait_next"] = 1
                given.setdefault((unit, task.unit), []).append((latest, len(mine)))
                clock = [max(pair) for pair in zip(clock, clocks[giver], strict=True)]
                clock[unit] = latest + 1
        clocks.append(clock)
        number.append(len(mine))
        mine.add(task, index)
