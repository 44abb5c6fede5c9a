"""How long the box unit takes for a candidate, without RTL: bytes come through registers, and states take them.

[R] What is read for a candidate depends on its prior alone, not on what the bytes are: a candidate is gone through once
for each prior, cycle by cycle, and counted from then on.
"""

from collections.abc import Generator
from functools import cache
from typing import NamedTuple

from roundel.golden.engine import FORMS, SCORES, Descriptor, EngineParams
from roundel.golden.head import EXPONENT, MEAN, READS, BoxForm, Score

PRODUCT, SOFTMAX = map(SCORES.index, (Score.PRODUCT, Score.SOFTMAX))
DISTRIBUTION, SIDES, CENTRES, CORNERS = map(FORMS.index, ("distribution", "sides", "centres", "corners"))
ORDER = (0, 2, 1, 3)  # of a box's numbers
SEEK = 7  # hw/engine/boxes/reading, cursor: from the end of a phase to the first word of the next
SIDE = 6  # hw/engine/boxes/reading: cycles without a word from side to side of a distribution
PLACED = 15  # hw/engine/boxes/places: from the begin of an axis to its place, or where only an offset is missing
BITS = 9  # hw/engine/boxes/decoder: cycles in which a distance is made of a byte, less its shift to the right
MEAN_BITS = 7 + MEAN  # the same of a mean
SUMMED = 3  # hw/engine/boxes/decoder: from the last term's byte to where its power is added

States = Generator[bool, tuple[int, bool], int]


class BoxUnit(NamedTuple):
    """What decides on cycles beside the descriptor: bytes of a word, and whether the decoder knows centres."""

    lanes: int
    centre: bool

    @classmethod
    def of(cls, params: EngineParams) -> "BoxUnit":
        """Return that of an engine."""
        return cls(params.lanes, BoxForm.CENTRE in params.heads)

    @property
    def levels(self) -> int:
        """Cycles from a piece to the greatest byte of it: two levels of comparisons in each."""
        return self.lanes.bit_length() // 2

    def words(self, first: int, count: int) -> int:
        """Return how many words so many channels lie in."""
        return (first + count - 1) // self.lanes - first // self.lanes + 1


class Candidate(NamedTuple):
    """What of a descriptor decides, and the prior of a candidate."""

    box: int
    softmax: bool
    bins: int
    classes: int
    shift: int
    bits: int
    prior: int


def decoding_cycles(params: EngineParams, descriptor: Descriptor, prior: int, late: int = 0) -> int:
    """Return the cycles from the judgement of a candidate to where its box is given, if it can be given at once.

    Of a softmax without the cycles in which its total is doubled, see `roundel.golden.cycles.finds`.

    Parameters
    ----------
    params, descriptor
        The engine and the scale.
    prior
        Of the candidate.
    late
        Cycles that the first word comes later, for words that are dropped before it.
    """
    softmax, bins = descriptor.score_form == SOFTMAX, descriptor.box_form == DISTRIBUTION
    form = Candidate(
        descriptor.box_form,
        softmax,
        descriptor.bins if bins else 0,
        descriptor.classes,
        0 if descriptor.box_form in (SIDES, CENTRES, CORNERS) else descriptor.shift,
        descriptor.cost_fraction if softmax else 0,
        prior,
    )
    return _decoded(BoxUnit.of(params), form, late)


@cache
def _decoded(unit: BoxUnit, form: Candidate, late: int) -> int:
    pieces, states, now = Pieces(unit, form, late), _states(unit, form), 1
    wanted = next(states)
    while True:
        offered = pieces.offered
        pieces.tick(now, wanted=wanted)
        try:
            wanted = states.send((now, offered))
        except StopIteration:
            return now
        now += 1


class Pieces:
    """Pieces of runs on their way to the decoder; none moves while one whose byte is not taken stands at the end.

    Parameters
    ----------
    unit, form
        Whose.
    late
        Cycles that the first word comes later.
    """

    def __init__(self, unit: BoxUnit, form: Candidate, late: int):
        self.form, self.empty = form, [None] * unit.levels
        self.registers: list[bool | None] = list(self.empty)  # whether the piece has a byte
        self.phases = [_numbers(unit, form), *([_logits(unit, form)] if form.softmax else [])]
        self.waiting, self.there, self.own = list[bool](), 0, False
        self._begin(late)

    @property
    def offered(self) -> bool:
        """Whether a byte is there; in the end that of the candidate itself is."""
        return self.own or bool(self.registers[-1])

    def tick(self, now: int, *, wanted: bool) -> None:
        """Go on by a cycle."""
        if not self.waiting and not self.groups and self.registers == self.empty:
            self.own = not self.phases
            if self.phases:
                self._begin(now)
        if not self.registers[-1] or wanted:
            moves = bool(self.waiting) and now >= self.there
            self.registers = [self.waiting.pop(0) if moves else None, *self.registers[:-1]]
            if moves and not self.waiting and self.groups:
                self._next(now + 1 + SIDE)

    def _begin(self, now: int) -> None:
        """Seek the first word of a phase."""
        self.groups = self.phases.pop(0)
        self._next(now + SEEK + self.form.prior)

    def _next(self, now: int) -> None:
        plane, self.waiting = self.groups.pop(0)
        self.there = now + plane


def _run(unit: BoxUnit, first: int, count: int) -> tuple[int, list[bool]]:
    """Return the plane of a run, and its pieces: the greatest byte of each word, then all bytes."""
    return first // unit.lanes, [False] * (unit.words(first, count) - 1) + [True] * (count + 1)


def _numbers(unit: BoxUnit, form: Candidate) -> list[tuple[int, list[bool]]]:
    """Return what is read of a box: runs, each with the plane where it begins."""
    if form.box == DISTRIBUTION:
        return [_run(unit, (4 * form.prior + side) * form.bins, form.bins) for side in ORDER]
    return [(4 * form.prior // unit.lanes, [True] * 4)]


def _logits(unit: BoxUnit, form: Candidate) -> list[tuple[int, list[bool]]]:
    """Return what is read of a softmax."""
    count = form.classes + 1
    return [_run(unit, form.prior * count, count)]


def _byte() -> States:
    """Take a byte, as soon as one is there; returns the cycle."""
    now, there = yield True
    while not there:
        now, there = yield True
    return now


def _idle(count: int, until: int = 0) -> States:
    """Take no byte for so many cycles, or up to a cycle; returns the last one."""
    now, _ = yield False
    for _ in range(count - 1):
        now, _ = yield False
    while now < until:
        now, _ = yield False
    return now


def _states(unit: BoxUnit, form: Candidate) -> Generator[bool, tuple[int, bool], None]:
    """Yield for every cycle whether a byte is taken; given back are the cycle, and whether one is there."""
    now, _ = yield False
    for _ in ORDER[::2]:
        now = yield from _axis(unit, form, now)
    if form.softmax:
        for _ in range(form.classes + 2):
            yield from _byte()
        yield from _idle(SUMMED + 1 + READS)
        yield from _byte()
        yield from _idle(1 + (EXPONENT - form.bits) + 1)
    yield False


def _axis(unit: BoxUnit, form: Candidate, begun: int) -> States:
    """Both corners of an axis, whose place was begun with in the cycle before."""
    centred = form.box == CENTRES
    now, placed = begun, begun + PLACED + (unit.centre and not centred)
    if centred:
        yield from _byte()
        yield from _idle(2, until=placed)
    for far in range(2):
        if not (far and centred):
            yield from _number(form)
        now = yield from _idle(1, until=placed)
    return now


def _number(form: Candidate) -> States:
    """Take what comes before a corner; returns the last cycle."""
    if form.box in (SIDES, CENTRES, CORNERS):
        yield from _byte()
        return (yield from _idle(2 if form.box == SIDES else 3))
    if form.box == DISTRIBUTION:
        for _ in range(form.bins + 1):
            yield from _byte()
        return (yield from _idle(SUMMED + max(MEAN_BITS + form.shift, 1)))
    there = False
    while not there:
        _, there = yield False
    if BITS + form.shift > 0:
        yield from _idle(BITS + form.shift)
    return (yield from _byte())
