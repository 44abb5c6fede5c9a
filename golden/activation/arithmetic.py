"""The arithmetic of the activation unit, exact for every word; `docs/activations.md` has the formulas.

All arrays are int64. `roundel.golden.activation.params.ActivationParams` checks ranges and calls these.
"""

import numpy as np
from numpy.typing import NDArray

from roundel.golden.activation.table import Fold
from roundel.golden.rounding import Ints


def positions(words: Ints, *, fold: Fold, core: int, segment_bits: int, step_bits: int) -> Ints:
    """Where on the curve each word lies: the number of its segment above `step_bits` bits of its place within.

    A word `v` stands for all that lies between `v` and `v + 1`, so its magnitude is `u + 1/2` with `u = v` or `~v`: to
    fold costs no carry. Beyond the last segment a word stays at its end.

    Parameters
    ----------
    words
        Signed integers, any shape.
    fold, core
        Of the table.
    segment_bits, step_bits
        Binary logarithms of the number of segments and of the steps within one.
    """
    negative = words < 0
    magnitude = 2 * np.where(negative, ~words, words) + 1
    place = (magnitude << step_bits) >> (core + 1)
    if fold is Fold.NONE:
        half = 1 << (segment_bits + step_bits - 1)
        place = np.minimum(place, half - 1)
        return np.asarray(np.where(negative, half - 1 - place, half + place))
    place = np.minimum(place, (1 << (segment_bits + step_bits)) - 1)
    if fold in (Fold.NEGATIVE, Fold.SLOPE):
        place = np.where(negative, place, 0)
    return np.asarray(place)


def ends_and_steps(position: Ints, step_bits: int) -> tuple[Ints, Ints, Ints]:
    """Return the even end of each position's segment, its odd end, and the steps from the even end towards the odd.

    Every segment has one end of even and one of odd number. In segments of odd number, whose even end is the upper one,
    steps are the complement of the place: the last place of such a segment is its end, as the first one of an even
    segment is.
    """
    segment, place = position >> step_bits, position & ((1 << step_bits) - 1)
    odd = segment & 1
    steps = np.where(odd == 1, place ^ ((1 << step_bits) - 1), place)
    return (segment + odd), segment + 1 - odd, np.asarray(steps)


def curve(position: Ints, knots: Ints, step_bits: int) -> Ints:
    """Interpolate between the knots: `even * 2**step_bits + (odd - even) * steps`."""
    even, odd, steps = ends_and_steps(position, step_bits)
    return np.asarray((knots[even] << step_bits) + (knots[odd] - knots[even]) * steps)


def linear_part(words: Ints, shift: int, step_bits: int) -> Ints:
    """Return `v + 1/2` of words from 0 on, 0 of the others, in the units of `curve`."""
    return np.asarray(np.where(words >= 0, ((2 * words + 1) << shift) << (step_bits - 1), 0))


def sloped(position: Ints, slopes: Ints, step_bits: int) -> Ints:
    """Return the magnitude of a negative word times the magnitude of its column's slope, in the units of `curve`.

    A slope is a multiplier of `step_bits + 1` bits, then a sign.
    """
    return np.asarray(position * (slopes & ((2 << step_bits) - 1)))


def slope_sign(slopes: Ints, step_bits: int) -> NDArray[np.bool_]:
    """Whether each slope is negative."""
    return np.asarray((slopes >> (step_bits + 1)) & 1 == 1)


def rounded(total: Ints, shift: int, low: int, high: int) -> Ints:
    """Round once, half up, and clamp."""
    return np.asarray(np.clip((total + (1 << (shift - 1))) >> shift, low, high))
