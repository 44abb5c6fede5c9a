"""Powers and logarithms of base 2 on integers: one addition and one small table each, as the hardware reckons them.

[R] A power differs from a straight line by at most 0.0861: `2**f = 1 + f - p(f)` for f from 0 to 1. So only `p` is a
table of 7 bits, read by the upper bits of f: the sum of a coarse one and a fine one. The logarithm reads the same one:
`g = log2(1 + f)` is where `g = f + p(g)`, and every read brings g nearer, as `p` falls or rises by less than 0.39.
docs/heads.md has the widths that were measured.
"""

import numpy as np

from roundel.golden.parameters import check_integer
from roundel.golden.rounding import Ints

EXPONENT = 10
"""Fraction bits of exponents and logarithms, and of the mantissas of powers."""
INDEX = 7
"""Bits of f that read a table."""
TERM = 14
"""Fraction bits of the terms of a softmax, the greatest of which is 1."""
WIDEST = 17
"""Bits of a length; longer ones count as the longest."""
LEAST_EXPONENT = -1 << 15
"""Of a table: terms of it, and of all below, are 0."""

ONE = 1 << EXPONENT
COARSE, FINE, SLOPES = 5, 2, 3
"""Bits of f that read the coarse table, bits below them that read the fine one, and the uppermost that do so, too."""


def _tables() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Fit both tables to `p`: means of the coarse cells, and what the fine ones lie above the lowest of their slope."""
    f = np.arange(ONE) / ONE
    curve = (ONE * (1 + f - np.exp2(f))).reshape(1 << SLOPES, 1 << COARSE - SLOPES, 1 << FINE, -1).mean(axis=3)
    means = curve.mean(axis=2)
    beside = (curve - means[..., None]).mean(axis=1)
    lowest = beside.min(axis=1, keepdims=True)
    coarse, fine = np.rint(means + lowest), np.rint(beside - lowest)
    return tuple(coarse.astype(int).ravel().tolist()), tuple(fine.astype(int).ravel().tolist())


COARSE_POWERS, FINE_POWERS = _tables()
"""Tables that sum up to `p`: of the upper bits of f, and of its slope and the bits below."""
_PLACES = np.arange(1 << INDEX)
_FINES = (_PLACES >> INDEX - SLOPES << FINE) + _PLACES % (1 << FINE)
POWERS = tuple((np.take(COARSE_POWERS, _PLACES >> FINE) + np.take(FINE_POWERS, _FINES)).tolist())
"""The table `p`: by how much a power lies below the straight line, in units of `2**-EXPONENT`."""
READS = 5
"""Reads of the table for a logarithm: further ones bring it no nearer."""


def mantissa(exponent: Ints) -> Ints:
    """Return the power of an exponent's fraction: `ONE` to `2 * ONE - 1`, for 1 to below 2."""
    fraction = exponent & ONE - 1
    return np.asarray(ONE + fraction - np.take(POWERS, fraction >> EXPONENT - INDEX))


def length(exponent: Ints) -> Ints:
    """Return `2**exponent` as an integer, halves rounded up, at most `2**WIDEST - 1`.

    Parameters
    ----------
    exponent
        In units of `2**-EXPONENT`, any sign and shape.
    """
    whole = exponent >> EXPONENT
    left, right = np.clip(whole - EXPONENT + 1, 0, WIDEST), np.clip(EXPONENT - 1 - whole, 0, 62)
    halves = mantissa(exponent) << left >> right
    longest = (1 << WIDEST) - 1
    return np.asarray(np.where(whole >= WIDEST, longest, np.minimum(halves + 1 >> 1, longest)))


def exponents(fraction: int) -> tuple[int, ...]:
    """Return the exponents of base 2 of logits 0 to 255 steps below the greatest, 256 integers from 0 down.

    Parameters
    ----------
    fraction
        Fraction bits of a logit, 0 to `EXPONENT`.

    Raises
    ------
    TypeError, ValueError
        Another fraction.
    """
    check_integer("fraction", fraction, 0, EXPONENT)
    logits = np.arange(256) * 2.0**-fraction
    below = np.rint(-logits * np.log2(np.e) * ONE).astype(int)
    return tuple(np.maximum(below, LEAST_EXPONENT).tolist())


def terms(exponent: Ints) -> Ints:
    """Return `2**exponent` for exponents up to 0, in units of `2**-TERM`, rounded down."""
    return np.asarray(mantissa(exponent) << TERM - EXPONENT >> np.minimum(-(exponent >> EXPONENT), 62))


def logarithm(total: Ints) -> Ints:
    """Return the base-2 logarithm of sums of terms, which are at least 1, in units of `2**-EXPONENT`."""
    total = np.asarray(total)
    place = np.frexp(total.astype(np.float64))[1] - 1  # of the uppermost bit
    fraction = (total << EXPONENT >> place) & ONE - 1
    found = np.zeros_like(fraction)
    for _ in range(READS):
        found = fraction + np.take(POWERS, (found & ONE - 1) >> EXPONENT - INDEX)
    return np.asarray((place - TERM << EXPONENT) + found)
