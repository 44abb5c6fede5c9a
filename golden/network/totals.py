"""The unit in which a scaled sum adds its operands: multipliers of few bits that lose as little as many would."""

from math import frexp

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format, signed_width
from roundel.golden.network.join import MOST_MULTIPLIER, scale_ratio
from roundel.golden.requant import Factor, RequantParams, Scheme
from roundel.golden.rounding import Ints

Reals = NDArray[np.float64]

TOLERANCE = 1 / 64  # of a unit of the output, by which all that is rounded before the end may move a sum
NARROW = 127  # greatest multiplier of a step of the engine, times 1, 4, 16 or 64


def total_format(x: Format, y: Format, output: Format, scheme: Scheme) -> Format:
    """Return the format in which `Add` adds two operands (its `total`), where `scheme` multiplies.

    The operand of the coarser scale has a whole number of units, 1 to `MOST_MULTIPLIER`, the other the nearest one. Of
    the numbers that move no sum by more than `TOLERANCE`, one whose multipliers take fewest steps of the engine is
    chosen, of those the one that moves sums least; if there is none, the one that does so whatever it takes [R].

    Parameters
    ----------
    x, y, output
        Formats of the operands and of the result.
    scheme
        The requantizer behind the sum.

    Returns
    -------
    Format
        As wide as the sum needs.
    """
    coarse, fine = (x, y) if scale_ratio(x, y) >= 1 else (y, x)
    counts = np.arange(1, MOST_MULTIPLIER + 1)
    others = np.rint(counts * scale_ratio(fine, coarse)).astype(np.int64)
    errors = _errors(coarse, fine, output, counts, others, scheme)
    steps = _steps(counts) + _steps(others)
    good = errors <= TOLERANCE
    order = np.lexsort((counts, errors, np.where(good, steps, 0), ~good))
    count, other = int(counts[order[0]]), int(others[order[0]])
    half, exponent = frexp(coarse.mantissa / count)
    ends = [[(end - form.zero) * by for end in form.limits] for form, by in ((coarse, count), (fine, other))]
    width = signed_width(*(sum(pair) for pair in zip(*ends, strict=True)))
    return Format(width=max(2, width), signed=True, fraction=coarse.fraction + 1 - exponent, mantissa=2 * half)


def _errors(coarse: Format, fine: Format, output: Format, counts: Ints, others: Ints, scheme: Scheme) -> Reals:
    """Return by how many units of the output a sum may be moved; infinite where the scheme cannot multiply so much."""
    halves, exponents = np.frexp(coarse.mantissa / counts)
    shifts = coarse.fraction + 1 - exponents - output.fraction
    factors = np.ldexp(2 * halves / output.mantissa, np.clip(-shifts, -1000, 1000))
    most = {Scheme.FIXED8: 8, Scheme.FIXED16: 16, Scheme.FIXED32: 0}.get(scheme, 100)
    able = factors < 2.0**most * (1 - 2.0**-8)
    errors = np.full(counts.shape, np.inf)
    if able.any():
        factor = Factor(x=1.0, w=2 * halves[able], o=output.mantissa, shift=shifts[able])
        made, rounded = _made(factor, scheme)
        for form, by in ((coarse, counts[able]), (fine, others[able])):
            most_units = max(abs(limit - form.zero) for limit in form.limits)
            rounded = rounded + most_units * np.abs(by * made - scale_ratio(form, output))
        errors[able] = rounded
    return errors


def _made(factor: Factor, scheme: Scheme) -> tuple[Reals, Reals]:
    """Return what a scheme multiplies by in place of factors, and what its first of two roundings adds to the error."""
    fields = factor.runtime(RequantParams(scheme=scheme), zero=0)
    if scheme is Scheme.FLOAT32:
        made = fields["scale"].astype(np.uint32).view(np.float32).astype(np.float64)
        return made, np.zeros(made.shape)
    if scheme is Scheme.FIXED32:
        first = np.ldexp(0.5, -fields["shift"])
        return np.ldexp(fields["multiplier"].astype(np.float64), -31 - fields["shift"]), first
    made = np.ldexp(fields["multiplier"].astype(np.float64), -fields["shift"])
    return made, np.zeros(made.shape)


def _steps(multipliers: Ints) -> Ints:
    """Return the steps that an engine of 8-bit weights takes for multipliers: 0, 1 or 2."""
    narrow = np.zeros(multipliers.shape, dtype=bool)
    for scale in range(4):
        narrow |= (multipliers % 4**scale == 0) & (multipliers // 4**scale <= NARROW)
    return np.where(multipliers == 0, 0, np.where(narrow, 1, 2))
