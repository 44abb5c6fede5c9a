"""Rounding and saturation of integers: the arithmetic that every requantizer ends with."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Rounding(Enum):
    """How a right shift rounds.

    The names and the designs that use them [S]: `FLOOR` (NE16), `HALF_UP` ties towards +infinity (CMSIS-NN, ITA),
    `HALF_AWAY` ties away from zero (NVDLA, gemmlowp's second step), `HALF_EVEN` ties to even (IEEE 754, Gemmini).
    """

    FLOOR = "floor"
    HALF_UP = "half_up"
    HALF_AWAY = "half_away"
    HALF_EVEN = "half_even"


def round_shift(value: Ints, shift: int | Ints, rounding: Rounding) -> Ints:
    """Divide `value` by `2**shift` and round to an integer, without intermediate overflow.

    Parameters
    ----------
    value
        Any integers of at most 63 bits, any shape; int32, which stay so, of at most 31.
    shift
        0 to 63 (of int32 to 31), a scalar or an array that broadcasts against `value`.
    rounding
        What to do with the bits that are shifted out.

    Notes
    -----
    [R] The shift comes first, all but its last bit, to which 1 is added before it is shifted out too: nothing can
    overflow. That is `half_up`. The others are the same of a value that is 1 less where a tie has to go down: of
    negative ones for `half_away`, of those with an even quotient for `half_even`; what is no tie does not change.
    """
    value = np.asarray(value)
    value = value if value.dtype == np.int32 else value.astype(np.int64, copy=False)
    amount = np.asarray(shift, dtype=value.dtype)
    if rounding is Rounding.FLOOR:
        return np.asarray(value >> amount)
    last = (amount > 0).astype(value.dtype)  # bits that are shifted out last
    lowered = value
    if rounding is Rounding.HALF_AWAY:
        lowered = value - (value < 0) * last
    elif rounding is Rounding.HALF_EVEN:
        lowered = value - (value >> amount & 1 ^ 1) * last
    if value.dtype == np.int32:  # which have room for half of 2**shift: a pass less
        rounded = lowered + (last << amount - last)
        rounded >>= amount
    else:
        rounded = lowered >> amount - last
        rounded += last  # in place, which takes half the time
        rounded >>= last
    return np.asarray(rounded)


def limits(width: int, signed: bool) -> tuple[int, int]:
    """Least and greatest integer of `width` bits."""
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
