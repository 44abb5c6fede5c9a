"""Powers and logarithms of base 2 on integers: one addition and one small table each, as the hardware reckons them.

[R] Both curves differ from a straight line by at most 0.0861: `2**f = 1 + f - p(f)` and `log2(1 + f) = f + q(f)` for f
from 0 to 1. So only `p` and `q` are tables, of `2**INDEX` entries of 7 bits, read by the upper bits of f. docs/heads.md
has the widths that were measured.
"""

import numpy as np

from roundel.golden.rounding import Ints

EXPONENT = 10
"""Fraction bits of exponents and logarithms, and of the mantissas of powers."""
INDEX = 7
"""Bits of f that read a table."""
TERM = 14
"""Fraction bits of the terms of a softmax, the greatest of which is 1."""
LONGEST = (32 << EXPONENT) - 1
"""Greatest exponent: what is smaller than `2**-32` counts as that."""
WIDEST = 17
"""Bits of a length; longer ones count as the longest."""
PER_NAT = round(np.log2(np.e) * (1 << EXPONENT))
"""Exponents of base 2 in one of base e: 1477."""

ONE = 1 << EXPONENT
_MIDDLES = (np.arange(1 << INDEX) + 0.5) / (1 << INDEX)
POWERS = tuple(np.rint(ONE * (1 + _MIDDLES - np.exp2(_MIDDLES))).astype(int).tolist())
"""The table `p`: by how much a power lies below the straight line, in units of `2**-EXPONENT`."""
LOGARITHMS = tuple(np.rint(ONE * (np.log2(1 + _MIDDLES) - _MIDDLES)).astype(int).tolist())
"""The table `q`: by how much a logarithm lies above the straight line, in units of `2**-EXPONENT`."""


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


def exponents(differences: Ints, fraction: int) -> Ints:
    """Return logits below the greatest one as exponents of base 2, rounded down, at most `LONGEST`.

    Parameters
    ----------
    differences
        The greatest logit minus the logit, 0 or more.
    fraction
        Fraction bits of a logit, 0 to `EXPONENT`.
    """
    return np.asarray(np.minimum(differences * PER_NAT >> fraction, LONGEST))


def terms(exponent: Ints) -> Ints:
    """Return `2**-exponent` for exponents from 0 on, in units of `2**-TERM`, rounded down."""
    whole = np.minimum(-(-exponent >> EXPONENT), 62)
    return np.asarray(mantissa(-exponent) << TERM - EXPONENT >> whole)


def logarithm(total: Ints) -> Ints:
    """Return the base-2 logarithm of sums of terms, which are at least 1, in units of `2**-EXPONENT`."""
    total = np.asarray(total)
    place = np.frexp(total.astype(np.float64))[1] - 1  # of the uppermost bit
    fraction = (total << EXPONENT >> place) & ONE - 1
    return np.asarray((place - TERM << EXPONENT) + fraction + np.take(LOGARITHMS, fraction >> EXPONENT - INDEX))
