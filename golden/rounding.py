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
        Any integers of at most 63 bits, any shape.
    shift
        0 to 63, a scalar or an array that broadcasts against `value`.
    rounding
        What to do with the bits that are shifted out.

    Notes
    -----
    [R] The shift comes first and the increment is decided from the bits shifted out, so nothing can overflow:
    `half_up` adds the last bit shifted out.
    """
    value = np.asarray(value, dtype=np.int64)
    amount = np.asarray(shift, dtype=np.int64)
    quotient = value >> amount
    if rounding is Rounding.FLOOR:
        return np.asarray(quotient)
    guard_at = np.maximum(amount - 1, 0)
    guard = np.where(amount > 0, (value >> guard_at) & 1, 0)
    if rounding is Rounding.HALF_UP:
        return np.asarray(quotient + guard)
    tie = guard.astype(bool) & ((value & ((np.int64(1) << guard_at) - 1)) == 0)
    keep_down = value < 0 if rounding is Rounding.HALF_AWAY else (quotient & 1) == 0
    return np.asarray(quotient + np.where(tie & keep_down, 0, guard))


def limits(width: int, signed: bool) -> tuple[int, int]:
    """Least and greatest integer of `width` bits."""
    return (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
