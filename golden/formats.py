"""Formats: integers that stand for real numbers, and the widths that sums of them need.

[R] An integer `i` of a tensor with N fractional bits means `i * 2**-N`; N may be negative or larger than the word. In a
*scaled* format it means `(i - zero) * mantissa * 2**-N`, which is any scale and zero point [S: ONNX QuantizeLinear].
"""

from dataclasses import dataclass
from functools import cached_property
from math import frexp, isfinite, ldexp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roundel.golden.parameters import check_bool, check_integer
from roundel.golden.rounding import Ints, Rounding, limits, round_shift

MAX_FRACTION = 2000  # beyond any binary64's exponent
MOST_EXPONENT = 1000  # of a power of two that is multiplied by
STORAGE = tuple(map(np.dtype, ("int8", "uint8", "int16", "uint16", "int32", "uint32")))


@dataclass(frozen=True, kw_only=True)
class Format:
    """How a tensor stores real numbers: integers of `width` bits that count units of `mantissa * 2**-fraction`.

    Parameters
    ----------
    width
        Bits, 2 to 32: activations and weights take up to 16, a bias all of them.
    signed
        Whether integers are two's complement.
    fraction
        Fractional bits N.
    mantissa
        1.0, or in a scaled format at least 1 and below 2.
    zero
        The integer that stands for 0.

    Raises
    ------
    TypeError, ValueError
        A parameter of the wrong kind or out of range; the message echoes it.
    """

    width: int
    signed: bool
    fraction: int
    mantissa: float = 1.0
    zero: int = 0

    def __post_init__(self) -> None:
        check_bool("signed", self.signed)
        check_integer("fraction", self.fraction, -MAX_FRACTION, MAX_FRACTION)
        if not isinstance(self.width, int) or not 2 <= self.width <= 32:
            raise ValueError(f"width must be 2 to 32 bits, not {self.width!r}")
        if not isinstance(self.mantissa, float) or not 1 <= self.mantissa < 2:
            raise ValueError(f"mantissa must be a float of at least 1 and below 2, not {self.mantissa!r}")
        check_integer("zero", self.zero, *self.limits)

    @classmethod
    def of_scale(cls, *, width: int, signed: bool, scale: float, zero: int = 0) -> "Format":
        """Return the format whose unit is `scale`, exactly; ValueError unless it is finite and above 0."""
        if not (isfinite(scale) and scale > 0):
            raise ValueError(f"scale must be finite and above 0, not {scale!r}")
        half, exponent = frexp(scale)
        return cls(width=width, signed=signed, fraction=1 - exponent, mantissa=2 * half, zero=zero)

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest integer."""
        return limits(self.width, self.signed)

    @cached_property
    def storage(self) -> np.dtype[Any]:
        """Narrowest integer type of NumPy that holds all integers."""
        low, high = self.limits
        return next(kind for kind in STORAGE if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)

    @property
    def scale(self) -> float:
        """What one unit stands for."""
        return ldexp(self.mantissa, -self.fraction)

    @property
    def is_plain(self) -> bool:
        """Whether the scale is a power of two and 0 stands for 0: all that shifts need."""
        return self.mantissa == 1 and self.zero == 0

    def encode(self, values: NDArray[np.floating]) -> Ints:
        """Nearest integers, ties to even, clamped: how constants and images enter the integer world [R]."""
        with np.errstate(over="ignore"):  # an infinity is clamped
            units = scaled(np.asarray(values, dtype=np.float64), self.fraction)
            if self.mantissa != 1:
                units = units / self.mantissa
        units = np.rint(units) + self.zero
        return np.asarray(np.clip(units, *self.limits).astype(np.int64))

    def narrow(self, integers: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Return integers in the type `storage`, as they came where the format does not hold them."""
        return integers.astype(self.storage, copy=False) if self.holds(integers) else integers

    def holds(self, integers: NDArray[np.integer[Any]]) -> bool:
        """Whether all integers are within the limits."""
        if integers.dtype == self.storage and self.width == 8 * integers.itemsize:
            return True  # there are no others of that type
        low, high = self.limits
        return bool(low <= integers.min(initial=high) and integers.max(initial=low) <= high)

    def decode(self, integers: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
        """Return the real numbers that `integers`, of any type, stand for."""
        units = integers.astype(np.float64)
        if not self.is_plain:
            units = (units - self.zero) * self.mantissa
        return scaled(units, -self.fraction)


def scaled(values: NDArray[np.float64], exponent: int) -> NDArray[np.float64]:
    """Return `np.ldexp(values, exponent)`; a product with a power of two that binary64 holds takes less time."""
    if abs(exponent) > MOST_EXPONENT:
        return np.asarray(np.ldexp(values, exponent))
    return np.asarray(values * 2.0**exponent)


def align(values: Ints, left: int | Ints, rounding: Rounding) -> Ints:
    """Move integers to a scale with more or fewer fractional bits.

    Parameters
    ----------
    values
        Integers of any shape.
    left
        How many fractional bits more: one number, or an array that broadcasts against `values`. Negative: fewer.
    rounding
        How values round where bits are lost.
    """
    return round_shift(values << np.maximum(left, 0), np.maximum(-np.asarray(left), 0), rounding)


def accumulator_width(reduction: int, x: Format, w: Format, bias_magnitude: int = 0) -> int:
    """Signed bits that hold a sum of `reduction` products and a bias, whatever the values of those formats.

    The sum runs over a range whose ends are `reduction` times the least and the greatest product; a bias of at most
    `bias_magnitude` (already aligned) moves both ends outward. Every partial sum stays within, as 0 does.

    Parameters
    ----------
    reduction
        Products of a sum.
    x, w
        Formats of their factors.
    bias_magnitude
        Greatest magnitude of the bias, in units of the products.
    """
    products = [a * b for a in x.limits for b in w.limits]
    least = min(0, reduction * min(products)) - bias_magnitude
    greatest = max(0, reduction * max(products)) + bias_magnitude
    return signed_width(least, greatest)


def signed_width(least: int, greatest: int) -> int:
    """Bits of the narrowest two's complement integer that holds both ends of a range."""
    return max((-least - 1).bit_length() if least < 0 else 0, greatest.bit_length() if greatest > 0 else 0) + 1


def digits_of(width: int, bits: int) -> int:
    """Return the usual number of digits of weights of `bits` bits on an array of `width`, both 2 to 8."""
    return -(-bits // (2 * max(1, width // 2)))


def digits_reach(width: int, bits: int = 8) -> tuple[int, int]:
    """Least and greatest weight that an array of narrower ones takes in the usual number of digits.

    Parameters
    ----------
    width
        Bits of the array's weights, 2 to 8.
    bits
        Bits of the weights, 2 to 8.
    """
    apart, count = max(1, width // 2), digits_of(width, bits)
    low, high = (limit * sum(1 << 2 * apart * place for place in range(count)) for limit in limits(width, True))
    least, most = limits(bits, True)
    return max(low, least), min(high, most)
