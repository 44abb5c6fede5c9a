"""Formats: integers with a power-of-two scale, and the widths that sums of them need.

[R] An integer `i` of a tensor with N fractional bits means `i * 2**-N`; N may be negative or larger than the word.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.rounding import Ints, Rounding, limits, round_shift


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a tensor stores real numbers: integers of `width` bits that count units of `2**-fraction`."""

    width: int
    signed: bool
    fraction: int

    def __post_init__(self) -> None:
        if not 2 <= self.width <= 16:
            raise ValueError(f"width must be 2 to 16 bits, not {self.width!r}")

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest integer."""
        return limits(self.width, self.signed)

    def encode(self, values: NDArray[np.floating]) -> Ints:
        """Nearest integers, ties to even, clamped: how constants and images enter the integer world [R]."""
        scaled = np.rint(np.ldexp(np.asarray(values, dtype=np.float64), self.fraction))
        return np.asarray(np.clip(scaled, *self.limits).astype(np.int64))

    def decode(self, integers: Ints) -> NDArray[np.float64]:
        """The real numbers that `integers` stand for."""
        return np.asarray(np.ldexp(integers.astype(np.float64), -self.fraction))


def align(values: Ints, left: int, rounding: Rounding) -> Ints:
    """Move `values` to a scale with `left` more fractional bits; rounds where `left` is negative."""
    return values << left if left >= 0 else round_shift(values, -left, rounding)


def accumulator_width(reduction: int, x: Format, w: Format, bias_magnitude: int = 0) -> int:
    """Signed bits that hold a sum of `reduction` products and a bias, whatever the values of those formats.

    The sum runs over a range whose ends are `reduction` times the least and the greatest product; a bias of at most
    `bias_magnitude` (already aligned) moves both ends outward. Every partial sum stays within, as 0 does.
    """
    products = [a * b for a in x.limits for b in w.limits]
    least = min(0, reduction * min(products)) - bias_magnitude
    greatest = max(0, reduction * max(products)) + bias_magnitude
    return signed_width(least, greatest)


def signed_width(least: int, greatest: int) -> int:
    """Bits of the narrowest two's complement integer that holds both ends of a range."""
    return max((-least - 1).bit_length() if least < 0 else 0, greatest.bit_length() if greatest > 0 else 0) + 1
