"""How images enter an integer network: real numbers rounded to integers of the input's format, and clamped.

The requantizers of layers round integers and know four ways (`roundel.golden.rounding`); here numbers are real and
software rounds them, so that every way is possible that a quantized file may ask for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from roundel.golden.formats import Format
from roundel.golden.parameters import check_integer
from roundel.golden.rounding import Ints

Reals = NDArray[np.floating]


class InputRounding(Enum):
    """How a real number becomes an integer: to the nearest, where only halves differ, or to one side."""

    HALF_EVEN = "half_even"
    HALF_ODD = "half_odd"
    HALF_UP = "half_up"
    HALF_DOWN = "half_down"
    HALF_AWAY = "half_away"
    HALF_TO_ZERO = "half_to_zero"
    FLOOR = "floor"
    CEIL = "ceil"
    AWAY = "away"
    TO_ZERO = "to_zero"

    def compute(self, values: Reals) -> Reals:
        """Round real numbers of any shape and type; none is added to before, which would round it itself."""
        return _ROUND[self](values)


def _nearest(halves_up: Callable[[Reals], NDArray[np.bool_]]) -> Callable[[Reals], Reals]:
    """Return a rounding to the nearest; `halves_up` says of the numbers below which halves go up."""

    def compute(values: Reals) -> Reals:
        below = np.floor(values)
        with np.errstate(invalid="ignore"):  # infinities have no halves
            part = values - below
            up = (part > 0.5) | (part == 0.5) & halves_up(below)
        return np.asarray(below + up)

    return compute


_ROUND: Mapping[InputRounding, Callable[[Reals], Reals]] = MappingProxyType(
    {
        InputRounding.HALF_EVEN: np.rint,
        InputRounding.HALF_ODD: _nearest(lambda below: below % 2 == 0),
        InputRounding.HALF_UP: _nearest(lambda below: np.ones_like(below, dtype=bool)),
        InputRounding.HALF_DOWN: _nearest(lambda below: np.zeros_like(below, dtype=bool)),
        InputRounding.HALF_AWAY: _nearest(lambda below: below >= 0),
        InputRounding.HALF_TO_ZERO: _nearest(lambda below: below < 0),
        InputRounding.FLOOR: np.floor,
        InputRounding.CEIL: np.ceil,
        InputRounding.AWAY: lambda values: np.where(values < 0, np.floor(values), np.ceil(values)),
        InputRounding.TO_ZERO: np.trunc,
    }
)


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the real numbers of images become integers of a format.

    Parameters
    ----------
    rounding
        Of the quotient by the format's scale.
    bounds
        A clamp in integers of the format, narrower than the format's own limits; None for none.

    Raises
    ------
    ValueError
        Bounds that are no two integers of 32 bits, or whose first is greater.
    """

    rounding: InputRounding = InputRounding.HALF_EVEN
    bounds: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for bound in self.bounds or ():
            check_integer("bounds", bound, -(1 << 31), (1 << 31) - 1)
        if self.bounds is not None and self.bounds[0] > self.bounds[1]:
            raise ValueError(f"bounds {self.bounds} leave nothing")

    def compute(self, values: NDArray[np.generic], form: Format) -> Ints:
        """Encode real numbers of any shape.

        [S] As onnxruntime's QuantizeLinear: numbers are binary32, and so is their quotient by the scale. Infinities
        are clamped.
        """
        with np.errstate(over="ignore", under="ignore"):
            single = np.asarray(values).astype(np.float32).astype(np.float64)
            units = (np.ldexp(single, form.fraction) / form.mantissa).astype(np.float32)
            rounded = self.rounding.compute(units).astype(np.float64) + form.zero
        low, high = self.limits(form)
        return np.asarray(np.clip(rounded, low, high).astype(np.int64))

    def limits(self, form: Format) -> tuple[int, int]:
        """Least and greatest integer."""
        low, high = form.limits
        return (low, high) if self.bounds is None else (max(low, self.bounds[0]), min(high, self.bounds[1]))
