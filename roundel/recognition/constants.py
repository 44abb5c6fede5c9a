"""Constants of scales: pixels in a unit of the tail, strides, offsets, priors, and sigmoids of centres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, log2
from typing import Any

from roundel.detection import HeadForm
from roundel.golden.head import BoxForm, Centre, Side
from roundel.recognition.box_fit import FittedBox, Quantity
from roundel.recognition.locating import Grid
from roundel.recognition.samples import Group
from roundel.recognition.score_fit import Scores
from roundel.recognition.tail import NotRecognised, Tail

SAME = 1e-3  # part by which constants of one scale may differ


@dataclass(frozen=True)
class Channel:
    """A channel of an output: `factor` times one of a map plus `shift`."""

    place: int
    channel: int
    factor: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True)
class FittedPrior:
    """A box of the locations of a group.

    Attributes
    ----------
    group, number
        Where its scores are, and the box itself unless that is made `behind` a selection.
    box, scores
        What it is.
    known
        What a convention says of its selection.
    behind
        Where the box is behind a selection, and its number there.
    """

    group: Group
    number: int
    box: FittedBox
    scores: Scores
    known: Mapping[str, Any] = field(default_factory=dict)
    behind: tuple[Group, int] | None = None

    @property
    def grid(self) -> Grid:
        """Rows and columns of the locations."""
        return self.group.grid

    @property
    def channels(self) -> set[int]:
        """Numbers of all channels behind box and scores."""
        boxes = {number for quantity in self.box.quantities for number in quantity.channels}
        others = {self.scores.objectness, self.scores.background}
        return {*self.scores.classes, *boxes, *(number for number in others if number is not None)}

    def channel(self, number: int, factor: float = 1.0, shift: float = 0.0) -> Channel:
        """Return a channel of the grid as one of a map."""
        place, channel = self.group.owners[number]
        return Channel(int(place), int(channel), factor, shift)


def units_of(tail: Tail, priors: Sequence[FittedPrior]) -> tuple[float, float]:
    """Return pixels in a unit of the tail, along x and along y: 1, the size of the image, or those of one scale."""
    height, width = tail.image
    found = []
    for axis, size in ((0, width), (1, height)):
        ratios = [
            prior.box.quantities[axis].step * prior.grid[1 - axis] / size
            for prior in priors
            if not isnan(prior.box.quantities[axis].step)
        ]
        ratio = max(ratios, default=1.0)
        units = [1.0, float(size)]
        if len({prior.grid for prior in priors}) == 1:
            units.append(size / priors[0].grid[1 - axis])
        unit = min(units, key=lambda unit: abs(log2(max(ratio * unit, 1e-9))))
        if not 0.4 < ratio * unit < 1.7:
            raise NotRecognised(
                f"neighbouring boxes lie {ratio * size / priors[0].grid[1 - axis]:.4g} apart, which are "
                f"neither pixels, strides nor parts of an image of {width} x {height}"
            )
        found.append(unit)
    return found[0], found[1]


def stride_of(tail: Tail, prior: FittedPrior, units: tuple[float, float]) -> float:
    """Return pixels between the locations of a grid."""
    height, width = tail.image
    steps = [quantity.step * unit for quantity, unit in zip(prior.box.quantities[:2], units, strict=True)]
    steps = [step for step in steps if not isnan(step)] or [width / prior.grid[1]]
    if max(steps) - min(steps) > SAME * max(steps):
        raise NotRecognised(
            f"locations of {prior.grid} lie {steps[0]:.5g} pixels apart along x, {steps[1]:.5g} along y"
        )
    stride = sum(steps) / len(steps)
    for nice in (round(stride), width / prior.grid[1], height / prior.grid[0]):
        if abs(stride - nice) <= SAME * stride / 4:
            return nice
    return stride


def _nice(value: float, steps: int = 64) -> float:
    """Return the nearest multiple of 1 / steps where a value is one, up to rounding."""
    near = round(value * steps) / steps
    return near if abs(near - value) <= 1e-4 else value


def offset_of(form: HeadForm, priors: Sequence[FittedPrior], units: tuple[float, float], stride: float) -> float:
    """Return where the first location lies, in strides: the same along both axes and for all priors."""
    if form.box is BoxForm.CORNERS or form.centre is Centre.SIGMOID:
        return 0.0
    starts = [
        quantity.start * unit / stride
        for prior in priors
        for quantity, unit in zip(prior.box.quantities[:2], units, strict=True)
    ]
    if max(starts) - min(starts) > 5 * SAME:
        raise NotRecognised(f"boxes of one location start at {min(starts):.4g} to {max(starts):.4g} strides")
    return _nice(sum(starts) / len(starts))


def prior_of(form: HeadForm, prior: FittedPrior, units: tuple[float, float]) -> tuple[float, ...]:
    """Return the numbers of a prior, in pixels."""
    if form.box is BoxForm.CORNERS:
        return tuple(_nice(quantity.start * units[place % 2]) for place, quantity in enumerate(prior.box.quantities))
    share = 0.25 if form.side is Side.SQUARE_SIGMOID else 1.0
    sides: list[Quantity] = list(prior.box.quantities[2:])
    return tuple(_near(quantity.factor * share * unit) for quantity, unit in zip(sides, units, strict=True))


def _near(value: float) -> float:
    """Return a whole number of 1/64 where a side is one up to rounding."""
    near = round(value * 64) / 64
    return near if abs(near - value) <= 2e-5 * abs(value) else value


def sigmoid_of(tail: Tail, priors: Sequence[FittedPrior], units: tuple[float, float]) -> dict[str, Any]:
    """Return a and b of a sigmoid centre, the same for all boxes."""
    if priors[0].box.centre is not Centre.SIGMOID:
        return {}
    pairs = []
    for prior in priors:
        stride = stride_of(tail, prior, units)
        for quantity, unit in zip(prior.box.quantities[:2], units, strict=True):
            pairs.append((quantity.factor * unit / stride, quantity.start * unit / stride))
    for values in zip(*pairs, strict=True):
        if max(values) - min(values) > 5 * SAME:
            raise NotRecognised(f"sigmoids of centres have factors or starts of {min(values):.4g} to {max(values):.4g}")
    return {"sigmoid": (_nice(pairs[0][0], 1000), _nice(pairs[0][1], 1000))}
