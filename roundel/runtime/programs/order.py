"""Tokens for a program's descriptors: enough of them that no two which may run at once disagree about a byte."""

from collections.abc import Sequence
from itertools import pairwise

from roundel.golden.engine import UNITS
from roundel.runtime.programs.draw import Draw
from roundel.runtime.programs.parts import Step

MOST_TOKENS = 255
Clock = tuple[int, ...]
"""How many descriptors of each unit are surely through before a descriptor begins."""


def chain(draw: Draw, steps: Sequence[Step]) -> None:
    """Set tokens so that every step waits for the one before, then take away some that are not needed; give some more.

    Neighbours in the sequence are of neighbouring units, or of the same one.
    """
    links = []
    for giver, taker in pairwise(steps):
        if giver.unit != taker.unit:
            forth = taker.unit > giver.unit
            links.append((giver, "signal_next" if forth else "signal_previous"))
            links.append((taker, "wait_previous" if forth else "wait_next"))
    for step, flag in links:
        step.flags[flag] = 1
    assert is_ordered(steps), "a chain keeps everything in order"
    pairs = list(zip(links[::2], links[1::2], strict=True))
    for number in draw.rng.permutation(len(pairs)):
        if draw.chance(0.6):
            _try(steps, pairs[number], 0)
    for _ in range(draw.of([0, 0, 1, 3])):
        step = steps[draw.whole(0, len(steps) - 1)]
        flag = ("signal_previous", "signal_next")[draw.whole(0, 1)]
        if not step.flags.get(flag):
            _try(steps, ((step, flag),), 1)


def _try(steps: Sequence[Step], flags: Sequence[tuple[Step, str]], value: int) -> None:
    """Change flags, and back again if then something may go wrong."""
    for step, flag in flags:
        step.flags[flag] = value
    if not is_ordered(steps):
        for step, flag in flags:
            step.flags[flag] = 1 - value


def is_ordered(steps: Sequence[Step]) -> bool:
    """Whether the program runs in its own order, and no two descriptors that may run at once clash."""
    clocks = _clocks(steps)
    if clocks is None:
        return False
    places = [sum(other.unit == step.unit for other in steps[:number]) for number, step in enumerate(steps)]
    for second, later in enumerate(steps):
        for first, earlier in enumerate(steps[:second]):
            sure = clocks[second][earlier.unit] > places[first]
            if earlier.unit != later.unit and not sure and earlier.clashes(later):
                return False
    return True


def _clocks(steps: Sequence[Step]) -> list[Clock] | None:
    """Clock of every step; None if one waits for a token that no earlier one gives.

    The k-th wait for a neighbour takes the k-th token that it gave, or an earlier one's: those count alike.
    """
    given: dict[tuple[int, int], list[Clock]] = {}
    taken: dict[tuple[int, int], int] = {}
    through: list[Clock] = [tuple([0] * len(UNITS)) for _ in UNITS]  # by unit, after its last descriptor
    clocks = []
    for step in steps:
        clock = through[step.unit]
        for flag, other in (("wait_previous", step.unit - 1), ("wait_next", step.unit + 1)):
            if step.flags.get(flag):
                way, number = (other, step.unit), taken.get((other, step.unit), 0)
                if len(given.get(way, ())) <= number:
                    return None
                clock = tuple(map(max, clock, given[way][number]))
                taken[way] = number + 1
        clocks.append(clock)
        clock = tuple(count + (unit == step.unit) for unit, count in enumerate(clock))
        through[step.unit] = clock
        for flag, other in (("signal_previous", step.unit - 1), ("signal_next", step.unit + 1)):
            if step.flags.get(flag):
                given.setdefault((step.unit, other), []).append(clock)
    return clocks if all(len(tokens) <= MOST_TOKENS for tokens in given.values()) else None
