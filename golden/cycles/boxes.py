"""How long the box unit takes for a scale of a head, without RTL: for its locations, and for what passes there.

[R] From one prior that passes to the next the scan takes a piece a cycle; what follows a prior that passes is gone
through phase by phase. Left out: boxes that the NMS unit lets wait, and words for which the memory has no time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from roundel.golden.cycles.decoding import DISTRIBUTION, PRODUCT, SEEK, SOFTMAX, BoxUnit, decoding_cycles
from roundel.golden.cycles.finds import Passing
from roundel.golden.engine import Descriptor, EngineParams
from roundel.golden.head import BINS, TERM, BoxForm

BEGIN = 2  # hw/engine/boxes/scan: from `start` to what would be the end of a phase, without a cycle for every prior
ASKED_TABLES = 1  # hw/engine/boxes/tables: from `start` to the command
READ = 5  # hw/engine/reader: words that are on their way at the end of a phase, if each was taken at once
AHEAD = 15  # hw/engine/reader: most words on their way, or one more or less


@dataclass(frozen=True, kw_only=True)
class ScaleCycles:
    """Cycles of a scale's phases.

    Parameters
    ----------
    params, descriptor
        The engine, with `heads`, and the scale.
    """

    params: EngineParams
    descriptor: Descriptor
    unit: BoxUnit = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unit", BoxUnit.of(self.params))

    @property
    def priors(self) -> int:
        """Priors of a location."""
        return self.descriptor.priors + 1

    @property
    def logits(self) -> int:
        """Logits of a prior."""
        return self.descriptor.classes + int(self.descriptor.score_form == SOFTMAX)

    @property
    def step(self) -> int:
        """Channels of a prior that SCAN looks at."""
        return 1 if self.descriptor.score_form == PRODUCT else self.logits

    @cached_property
    def pieces(self) -> list[list[bool]]:
        """Pieces of each prior that SCAN looks at; whether it is the last of a word."""
        descriptor, lanes, found = self.descriptor, self.params.lanes, list[list[bool]]()
        softmax = descriptor.score_form == SOFTMAX
        runs = [1] if descriptor.score_form == PRODUCT else [descriptor.classes]
        if softmax:
            runs.insert(len(runs) if descriptor.background else 0, 1)
        at = 0
        for _ in range(self.priors):
            ends = list[bool]()
            for count in runs:
                stop = at + count
                while at < stop:
                    at = min(stop, at // lanes * lanes + lanes)
                    ends.append(at % lanes == 0)
            found.append(ends)
        found[-1][-1] = True
        return found

    @cached_property
    def before(self) -> list[int]:
        """Pieces of a location before each prior, and those of all."""
        return list(accumulate(map(len, self.pieces), initial=0))

    @property
    def of_location(self) -> int:
        """Cycles of a location of which nothing passes."""
        return self.before[-1]

    def cycles(self, passed: Iterable[Passing]) -> int:
        """Return the cycles from `start` to the end of the scale, without those of its tables."""
        run = ScaleRun(self)
        for one in passed:
            run.look(one)
        return run.end()


@dataclass
class ScaleRun:
    """Goes through a scale.

    Attributes
    ----------
    now
        Cycle in which the phase before ended.
    location, prior
        With which SCAN goes on.
    stale
        Words on their way then, which are dropped.
    """

    scale: ScaleCycles
    location: int = 0
    prior: int = 0
    stale: int = 0
    now: int = field(init=False)

    def __post_init__(self) -> None:
        self.now = BEGIN + self.scale.priors

    def look(self, one: Passing) -> None:
        """Go on to a prior that passes, and through all that it leads to."""
        scale, descriptor = self.scale, self.scale.descriptor
        self._scan(one.location, one.prior)
        if descriptor.score_form == PRODUCT:
            first = one.prior * scale.logits
            self._seek(one.prior, first)
            self._judge(scale.unit.words(first, descriptor.classes))
        if descriptor.every_class and one.passes:
            following = 0
            for label in one.labels:
                self._each(one, following, label)
                self._send(one, label)
                following = label + 1
            if following < descriptor.classes:
                self._each(one, following, descriptor.classes - 1)
        else:
            for label in one.labels:
                self._send(one, label)
        last = one.prior + 1 == scale.priors
        self.location, self.prior = one.location + last, 0 if last else one.prior + 1

    def end(self) -> int:
        """Go on to the end; returns the cycle."""
        places = self.scale.descriptor.width * self.scale.descriptor.height
        if self.location < places:
            self._scan(places - 1, self.scale.priors - 1)
        return self.now

    def _late(self, prior: int, channel: int) -> int:
        """Cycles that the first word of a phase comes later; nothing else is stale from then on."""
        late = max(0, self.stale + 1 - SEEK - prior - channel // self.scale.unit.lanes)
        self.stale = 0
        return late

    def _seek(self, prior: int, channel: int) -> None:
        """Go on to the first word of a phase."""
        late = self._late(prior, channel)
        self.now += SEEK + prior + channel // self.scale.unit.lanes + late

    def _judge(self, pieces: int) -> None:
        self.now += pieces + self.scale.unit.levels

    def _scan(self, location: int, prior: int) -> None:
        """Scan up to a prior."""
        scale, before = self.scale, self.scale.before
        self._seek(self.prior, self.prior * scale.step)
        begun = before[self.prior]
        pieces = (location - self.location) * scale.of_location + before[prior + 1] - begun
        self._judge(pieces)
        cut = pieces + scale.unit.levels + 1
        ends = [end for run in scale.pieces for end in run]
        rounds, rest = divmod(begun + cut, scale.of_location)
        taken = rounds * sum(ends) + sum(ends[:rest]) - sum(ends[:begun])
        self.stale = min(AHEAD, cut + READ - 1 - taken)

    def _each(self, one: Passing, first: int, label: int) -> None:
        """Look at one class after the other."""
        scale, descriptor, lanes = self.scale, self.scale.descriptor, self.scale.unit.lanes
        behind = int(descriptor.score_form == SOFTMAX and not descriptor.background)
        channel = one.prior * scale.logits + first + behind
        self._seek(one.prior, channel)
        self._judge(label + 1 - first)
        cut = label + 1 - first + scale.unit.levels + 1
        asked = min(scale.unit.words(channel, scale.logits), cut + READ - 1)
        self.stale = max(0, asked - (channel % lanes + cut) // lanes)

    def _send(self, one: Passing, label: int) -> None:
        """Read the maximum around, and make the box."""
        scale, descriptor = self.scale, self.scale.descriptor
        if descriptor.peaks:
            self._seek(one.prior, one.prior * scale.logits + label)
            self._judge(1)
        if label in one.sent:
            late = self._late(one.prior, self._first_number(one.prior))
            self.now += decoding_cycles(scale.params, descriptor, one.prior, late)
            if descriptor.score_form == SOFTMAX:
                self.now += most_places(scale.params) - one.places

    def _first_number(self, prior: int) -> int:
        descriptor = self.scale.descriptor
        return 4 * prior * (descriptor.bins if descriptor.box_form == DISTRIBUTION else 1)


def most_places(params: EngineParams) -> int:
    """Return by how many bits a sum of terms can be longer than the greatest of them."""
    assert params.nms is not None
    most = max(params.nms.format.classes + 1, BINS[1] if BoxForm.DFL in params.heads else 0)
    return (most << TERM).bit_length() - 1 - TERM


def location_cycles(params: EngineParams, descriptor: Descriptor) -> int:
    """Return the cycles of a location of which nothing passes."""
    return ScaleCycles(params=params, descriptor=descriptor).of_location


def scale_cycles(params: EngineParams, descriptor: Descriptor, passed: Iterable[Passing] = ()) -> int:
    """Return the cycles from `start` to the end of a scale, without those of its tables; exact where all is taken."""
    return ScaleCycles(params=params, descriptor=descriptor).cycles(passed)


def candidate_cycles(params: EngineParams, descriptor: Descriptor, prior: int) -> int:
    """Return by how many cycles a candidate of that prior, with no other before it for long, delays a scale."""
    scale = ScaleCycles(params=params, descriptor=descriptor)
    places = descriptor.width * descriptor.height
    return scale.cycles([Passing(places // 2, prior)]) - scale.cycles([])
