"""What a box's numbers stand for, in units of a coordinate: through tables, powers of two, and means of distributions.

Sizes stay logarithms until one place, `roundel.golden.head.powers.length`: a curve and a prior's size are then a sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log2

import numpy as np

from roundel.golden.formats import Format
from roundel.golden.head.forms import Centre, Floats, Side, log_sigmoid, side_logarithms
from roundel.golden.head.powers import EXPONENT, exponents, length, terms
from roundel.golden.head.scores import BYTES, bytes_of, check_exponents, check_table
from roundel.golden.parameters import Params, check_integer
from roundel.golden.rounding import Ints

BINS = (2, 32)
MOST_PRIORS = 9
MEAN = 8
"""Fraction bits of the mean of a distribution, in bins."""
WORD = (-(1 << 15), (1 << 15) - 1)
"""Least and greatest entry of a table."""
PLACE = 6
"""Fraction bits of a location's place beyond those of a coordinate."""


def words(values: Floats) -> tuple[int, ...]:
    """Round real numbers to entries of a table; those out of range count as the least or the greatest."""
    return tuple(np.rint(np.clip(values, *WORD)).astype(int).tolist())


def offsets(values: Floats, fraction: int) -> tuple[int, ...]:
    """Return pixels as entries of a table: units of `2**-fraction` pixels."""
    return words(values * (1 << fraction))


def logarithms(values: Floats) -> tuple[int, ...]:
    """Return base-2 logarithms as entries of a table: units of `2**-EXPONENT`."""
    return words(values * (1 << EXPONENT))


@dataclass(frozen=True, kw_only=True)
class PlaceParams(Params):
    """Where the locations of a scale are, if not in the middle of squares whose side is a power of two.

    Parameters
    ----------
    step
        From location to location, 1 to 2**31 - 1, in units of `2**-6` of a coordinate's unit.
    origin
        Of the first location, in x and y, -2**31 to 2**31 - 1, in the same units and half a coordinate's unit more.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    step: int
    origin: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_integer("step", self.step, 1, (1 << 31) - 1)
        check_integer("origin", self.origin, -(1 << 31), (1 << 31) - 1)

    @classmethod
    def of(cls, stride: float | Fraction, offset: float, *, fraction: int) -> "PlaceParams":
        """Make them from pixels between locations, and the first one's place in strides.

        Parameters
        ----------
        stride
            Pixels, above 0.
        offset
            Of the first location, in strides: usually 0 or 1/2.
        fraction
            Fraction bits of a coordinate.
        """
        unit = 1 << fraction + PLACE
        first = round(Fraction(stride) * Fraction(offset) * unit)
        return cls(step=round(Fraction(stride) * unit), origin=first + (1 << PLACE - 1))

    def places(self, count: int) -> Ints:
        """Return the places of `count` locations in units of a coordinate, halves rounded up, (count,)."""
        return np.asarray(self.origin + self.step * np.arange(count) >> PLACE)


@dataclass(frozen=True, kw_only=True)
class DistributionParams(Params):
    """Distances that are means of distributions over bins.

    Parameters
    ----------
    bins
        Of a distribution, 2 to 32.
    exponents
        The base-2 exponent of a logit that lies 0 to 255 steps below the greatest of its side, in units of 2**-10, 256
        words from -2**15 to 0, the first of which is 0.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    bins: int = 16
    exponents: tuple[int, ...]

    def __post_init__(self) -> None:
        self._set(exponents=tuple(self.exponents))
        super().__post_init__()
        check_integer("bins", self.bins, *BINS)
        check_exponents(self.exponents)

    @classmethod
    def of(cls, box: Format, *, bins: int) -> "DistributionParams":
        """Make the table for logits of a format."""
        return cls(bins=bins, exponents=exponents(box.fraction))

    def means(self, logits: Ints) -> Ints:
        """Return the mean bin of softmaxes over the last axis, in units of `2**-MEAN` bins, rounded down."""
        weights = terms(np.take(self.exponents, logits.max(axis=-1, keepdims=True) - logits))
        moments = (weights * np.arange(self.bins)).sum(axis=-1)
        return np.asarray((moments << MEAN) // weights.sum(axis=-1))


@dataclass(frozen=True, kw_only=True)
class SideParams(Params):
    """Distances that are powers of two.

    Parameters
    ----------
    sides
        The base-2 logarithm of every byte's distance in units of a coordinate, in units of 2**-10, 256 signed words.

    Raises
    ------
    TypeError, ValueError
        An entry out of range, or another number of entries.
    """

    sides: tuple[int, ...]

    def __post_init__(self) -> None:
        self._set(sides=tuple(self.sides))
        super().__post_init__()
        check_table("sides", self.sides, *WORD)

    @classmethod
    def of(cls, box: Format, *, side: Side, unit: float, fraction: int) -> "SideParams":
        """Make the table of a curve; the arguments as for `CentreParams.of`."""
        curve = side_logarithms(box.decode(bytes_of(box)), side)
        return cls(sides=logarithms(curve + log2(unit) + fraction))

    def distances(self, box: Ints) -> Ints:
        """Return distances in units of a coordinate, of the shape of `box`."""
        return length(np.take(self.sides, box & BYTES - 1))


@dataclass(frozen=True, kw_only=True)
class CentreParams(Params):
    """Centres that are table reads, and sizes that are powers of two.

    Parameters
    ----------
    centres
        What every byte adds to a location's place, in units of a coordinate, 256 signed words.
    sides
        The base-2 logarithm of every byte's curve, in units of 2**-10, 256 signed words.
    priors
        The base-2 logarithms of half the width and half the height of each prior, in units of a coordinate and again
        in units of 2**-10; 1 to 9 pairs of signed words.

    Raises
    ------
    TypeError, ValueError
        An entry out of range, or another number of entries or priors.
    """

    centres: tuple[int, ...]
    sides: tuple[int, ...]
    priors: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        self._set(centres=tuple(self.centres), sides=tuple(self.sides), priors=tuple(map(tuple, self.priors)))
        super().__post_init__()
        check_table("centres", self.centres, *WORD)
        check_table("sides", self.sides, *WORD)
        check_priors(self.priors, 2)

    @classmethod
    def of(
        cls,
        box: Format,
        *,
        centre: Centre = Centre.LINEAR,
        sigmoid: tuple[float, float] = (1.0, 0.0),
        side: Side = Side.EXP,
        unit: float = 1.0,
        stride: float = 1.0,
        priors: Sequence[tuple[float, float]],
        fraction: int,
    ) -> "CentreParams":
        """Make the tables of curves.

        Parameters
        ----------
        box
            Format of the box's numbers.
        centre
            `linear`: a number counts `unit` pixels. `sigmoid`: its curve counts strides.
        sigmoid
            Factor and summand of the sigmoid.
        side
            The sizes' curve.
        unit
            Pixels of a number that goes through `linear`.
        stride
            Pixels between locations.
        priors
            Width and height in pixels that the sizes' curve is multiplied by; of linear sizes, they count `unit`.
        fraction
            Fraction bits of a coordinate.
        """
        values = box.decode(bytes_of(box))
        scale, summand = sigmoid
        moved = values * unit
        if centre is Centre.SIGMOID:
            moved = stride * (scale * np.exp2(log_sigmoid(values)) + summand)
        halves = tuple(logarithms(np.log2(np.array(prior, np.float64)) + fraction - 1) for prior in priors)
        return cls(
            centres=offsets(moved, fraction),
            sides=logarithms(side_logarithms(values, side)),
            priors=tuple((width, height) for width, height in halves),
        )

    def centres_and_halves(self, box: Ints) -> tuple[Ints, Ints]:
        """Return what is added to places, and half sizes, both (..., priors, 2), of numbers (..., priors, 4)."""
        raw = box & BYTES - 1
        return np.take(self.centres, raw[..., :2]), length(np.take(self.sides, raw[..., 2:]) + np.array(self.priors))


@dataclass(frozen=True, kw_only=True)
class CornerParams(Params):
    """Corners that are table reads beside those of a prior.

    Parameters
    ----------
    offsets
        What every byte adds to a corner, in units of a coordinate, 256 signed words.
    priors
        x1, y1, x2, y2 of each prior, relative to the location's place, in units of a coordinate; 1 to 9 of them.

    Raises
    ------
    TypeError, ValueError
        An entry out of range, or another number of entries or priors.
    """

    offsets: tuple[int, ...]
    priors: tuple[tuple[int, int, int, int], ...]

    def __post_init__(self) -> None:
        self._set(offsets=tuple(self.offsets), priors=tuple(map(tuple, self.priors)))
        super().__post_init__()
        check_table("offsets", self.offsets, *WORD)
        check_priors(self.priors, 4)

    @classmethod
    def of(
        cls, box: Format, *, unit: float = 1.0, priors: Sequence[tuple[float, float, float, float]], fraction: int
    ) -> "CornerParams":
        """Make the table: a number counts `unit` pixels, priors are in pixels."""
        corners = tuple(offsets(np.array(prior, np.float64), fraction) for prior in priors)
        return cls(
            offsets=offsets(box.decode(bytes_of(box)) * unit, fraction),
            priors=tuple((left, top, right, bottom) for left, top, right, bottom in corners),
        )

    def corners(self, box: Ints) -> Ints:
        """Return corners relative to the location's place, (..., priors, 4), of numbers of that shape."""
        return np.asarray(np.take(self.offsets, box & BYTES - 1) + np.array(self.priors))


def check_priors(priors: tuple[tuple[int, ...], ...], count: int) -> None:
    """Raise TypeError or ValueError unless there are 1 to 9 priors of so many words."""
    if not 1 <= len(priors) <= MOST_PRIORS or any(len(prior) != count for prior in priors):
        raise ValueError(f"priors must be 1 to {MOST_PRIORS} of {count} words, not {priors}")
    for number, prior in enumerate(priors):
        for place, value in enumerate(prior):
            check_integer(f"priors[{number}][{place}]", value, *WORD)
