"""Tokens: what makes units that run side by side keep the order of the program wherever it matters.

Tasks stand in an order in which they could run one after the other. Two tasks of different units that touch the same
memory, at least one of them writing, must not overlap: the later one waits for a token of the earlier. Units pass
tokens to their neighbours only, so between loads and stores a computation in between passes them on, and where there is
none, a computation of a single word is put there (`fence`).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from golden.program import Opcode
from golden.rounding import Ints

UNITS = {Opcode.LOAD: 0, Opcode.COMPUTE: 1, Opcode.BOXES: 1, Opcode.STORE: 2}
MOST_TOKENS = 100  # that wait at once, or about twice as many; a count goes to 255

NOTHING: Ints = np.zeros((0, 2), dtype=np.int64)


@dataclass(kw_only=True, eq=False)
class Task:
    """A descriptor, and what it touches.

    Parameters
    ----------
    opcode, values
        Of the descriptor.
    layer
        The network's layer; "" for none.
    macs
        Products that the network asks for.
    reads, writes
        (spans, 2): from ... to below ..., words on chip, or bytes of the outer memory (`outer_line`).
    steps
        Weight blocks kept, and with those that are zero.
    """

    opcode: Opcode
    values: dict[str, int]
    layer: str
    macs: int = 0
    reads: Ints = field(default_factory=lambda: NOTHING)
    writes: Ints = field(default_factory=lambda: NOTHING)
    steps: tuple[int, int] = (0, 0)

    @property
    def unit(self) -> int:
        """0 load, 1 compute, 2 store."""
        return UNITS[self.opcode]

    @cached_property
    def ends(self) -> dict[str, tuple[int, int]]:
        """Where all that it reads and all that it writes begins and ends; (0, 0) for nothing."""
        spans = {"reads": self.reads, "writes": self.writes}
        return {name: (int(one.min()), int(one.max())) if len(one) else (0, 0) for name, one in spans.items()}


def outer_line(region: int, spans: Ints) -> Ints:
    """Spans of an outer region as such of one line of addresses, on which words on chip come first."""
    return spans + (region + 1 << 32)


def conflict(a: Task, b: Task) -> bool:
    """Whether two tasks touch the same memory, one of them writing."""
    return _meet(a, "writes", b, "writes") or _meet(a, "writes", b, "reads") or _meet(a, "reads", b, "writes")


def _meet(a: Task, mine: str, b: Task, its: str) -> bool:
    (first, last), (start, stop) = a.ends[mine], b.ends[its]
    if first >= stop or start >= last:  # most pairs: nothing else is fast enough for thousands of tasks
        return False
    x, y = getattr(a, mine), getattr(b, its)
    return bool(((x[:, None, 0] < y[:, 1]) & (y[:, 0] < x[:, None, 1])).any())


def order(tasks: Sequence[Task], fence: Callable[[], Task]) -> list[Task]:
    """The tasks with fences between them and tokens in their `values`."""
    fenced, relays = _relays(tasks, fence)
    _tokens(fenced, relays)
    return fenced


def _relays(tasks: Sequence[Task], fence: Callable[[], Task]) -> tuple[list[Task], dict[int, list[int]]]:
    """Tasks with fences, and by task those before it that it must wait for on behalf of others."""
    found: list[Task] = []
    units: list[list[int]] = [[], [], []]  # indices of tasks
    relays: dict[int, list[int]] = {}
    for task in tasks:
        if task.unit != 1:
            last = next((at for at in reversed(units[2 - task.unit]) if conflict(found[at], task)), None)
            if last is not None:
                at = bisect_right(units[1], last)
                if at == len(units[1]):
                    units[1].append(len(found))
                    found.append(fence())
                relays.setdefault(units[1][at], []).append(last)
                relays.setdefault(len(found), []).append(units[1][at])
        units[task.unit].append(len(found))
        found.append(task)
    return found, relays


def _tokens(tasks: list[Task], relays: dict[int, list[int]]) -> None:
    """Set the tokens' flags: every task waits for the last task of each neighbour that it must not overlap.

    A clock of each task tells how many tasks of each unit are through when it begins; what it already tells needs no
    token.
    """
    units: list[list[int]] = [[], [], []]  # indices of tasks
    clocks: list[list[int]] = []
    number: list[int] = []  # of each task in its unit
    given: dict[tuple[int, int], list[tuple[int, int]]] = {}  # by unit and unit: giver and taker of every token
    for index, task in enumerate(tasks):
        mine = units[task.unit]
        clock = list(clocks[mine[-1]]) if mine else [0, 0, 0]
        clock[task.unit] = len(mine)
        for unit in (task.unit - 1, task.unit + 1):
            if not 0 <= unit <= 2:
                continue
            wanted = [number[other] for other in relays.get(index, []) if tasks[other].unit == unit]
            others = reversed(range(clock[unit], len(units[unit])))
            wanted += [next((at for at in others if conflict(tasks[units[unit][at]], task)), -1)]
            taken = given.get((task.unit, unit), [])
            if len(taken) >= MOST_TOKENS:
                wanted.append(taken[-MOST_TOKENS][1])
            latest = max(wanted)
            if latest >= clock[unit]:
                giver = units[unit][latest]
                tasks[giver].values["signal_next" if task.unit > unit else "signal_previous"] = 1
                task.values["wait_previous" if task.unit > unit else "wait_next"] = 1
                given.setdefault((unit, task.unit), []).append((latest, len(mine)))
                clock = [max(pair) for pair in zip(clock, clocks[giver], strict=True)]
                clock[unit] = latest + 1
        clocks.append(clock)
        number.append(len(mine))
        mine.append(index)
