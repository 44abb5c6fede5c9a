"""The four roundings against exact rational arithmetic and against the designs they are named after."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.rounding import Rounding, limits, round_shift


def exact(value: int, shift: int, rounding: Rounding) -> int:
    """`value / 2**shift` rounded, in rational arithmetic."""
    quotient = Fraction(value, 2**shift)
    match rounding:
        case Rounding.FLOOR:
            return math.floor(quotient)
        case Rounding.HALF_UP:
            return math.floor(quotient + Fraction(1, 2))
        case Rounding.HALF_AWAY:
            size = math.floor(abs(quotient) + Fraction(1, 2))
            return size if quotient > 0 else -size
        case Rounding.HALF_EVEN:
            return round(quotient)  # Python's round of a Fraction is half to even


@pytest.mark.parametrize("rounding", Rounding)
@given(value=st.integers(*limits(63, True)), shift=st.integers(0, 63))
def test_any_value_against_fractions(rounding: Rounding, value: int, shift: int) -> None:
    assert int(round_shift(np.array(value), shift, rounding)) == exact(value, shift, rounding)


@pytest.mark.parametrize("rounding", Rounding)
@given(quotient=st.integers(-(2**20), 2**20), shift=st.integers(1, 20), beside=st.integers(-1, 1))
def test_ties_and_their_neighbours_against_fractions(
    rounding: Rounding, quotient: int, shift: int, beside: int
) -> None:
    value = (2 * quotient + 1) * 2 ** (shift - 1) + beside
    assert int(round_shift(np.array(value), shift, rounding)) == exact(value, shift, rounding)


# value / 4 for value = -10, -6, -2, 2, 6, 10: the ties -2.5 -1.5 -0.5 0.5 1.5 2.5
TIES = np.array([-10, -6, -2, 2, 6, 10])


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        (Rounding.FLOOR, [-3, -2, -1, 0, 1, 2]),
        (Rounding.HALF_UP, [-2, -1, 0, 1, 2, 3]),
        (Rounding.HALF_AWAY, [-3, -2, -1, 1, 2, 3]),
        (Rounding.HALF_EVEN, [-2, -2, 0, 0, 2, 2]),
    ],
)
def test_ties_of_both_signs(rounding: Rounding, expected: list[int]) -> None:
    assert round_shift(TIES, 2, rounding).tolist() == expected


def test_arrays_of_shifts_broadcast() -> None:
    values, shifts = np.array([[100], [-100]]), np.array([0, 3, 6])
    assert round_shift(values, shifts, Rounding.HALF_UP).tolist() == [[100, 13, 2], [-100, -12, -2]]


@pytest.mark.parametrize("rounding", Rounding)
def test_the_widest_products_of_a_multiplier(rounding: Rounding) -> None:
    """48 by 16 bits, which take all 64: a bit more than is promised, and what `fixed16` relies on."""
    for value in (-(2**47) * (2**16 - 1), (2**47 - 1) * (2**16 - 1)):
        for shift in range(64):
            assert int(round_shift(np.array(value), shift, rounding)) == exact(value, shift, rounding)
