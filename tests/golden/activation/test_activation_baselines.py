"""Circuits that the activation unit is compared with, against what their authors write, in plain numbers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roundel.golden.activation import ByteTable, Polynomial, SlopeOffset, named
from roundel.golden.formats import Format

BYTE = Format(width=8, signed=True, fraction=4)
GELU = named("gelu")


def test_the_table_holds_the_function_at_every_code():
    codes = np.arange(-128, 128)
    runtime = ByteTable().fit(GELU, 1 / 16, BYTE)
    expected = [
        min(127, round(16 * code / 16 * (1 + math.erf(code / 16 / math.sqrt(2))) / 2)) for code in range(-128, 128)
    ]
    assert ByteTable().compute(codes, runtime).tolist() == expected


def test_the_polynomial_is_i_berts():
    """[S] i-GELU of the I-BERT paper in real numbers: erf as `sign(x) (a (min(|x|, -b) + b)^2 + 1)`."""
    a, b = -0.2888, -1.769
    results = Polynomial().compute(np.arange(-128, 128), Polynomial().fit(GELU, 1 / 16, BYTE))
    for code, result in zip(range(-128, 128), results, strict=True):
        x = code / 16
        scaled = x / math.sqrt(2)
        erf = math.copysign(1, x) * (a * (min(abs(scaled), -b) + b) ** 2 + 1)
        assert abs(result - min(16 * x * (1 + erf) / 2, 127)) <= 1.2  # its constants are rounded down


@given(
    word=st.integers(-128, 127),
    constants=st.tuples(*[st.integers(-(1 << 15), (1 << 15) - 1)] * 3),
    multiplier=st.integers(-128, 127),
    shift=st.integers(0, 31),
)
def test_the_polynomial_in_registers_of_26_bits(word, constants, multiplier, shift):
    """ITA's steps one by one, each cut to 26 bits."""

    def cut(value: int) -> int:
        return (value + (1 << 25)) % (1 << 26) - (1 << 25)

    one, b, c = constants
    sign = -1 if word < 0 else 1
    clipped = min(abs(word), -b)
    curve = cut(cut(clipped + b) ** 2 + c)
    product = cut(word * cut(sign * curve + one)) * multiplier
    expected = (product >> shift) + (product >> (shift - 1) & 1 if shift else 0)
    values = {"one": one, "b": b, "c": c, "multiplier": multiplier, "shift": shift}
    runtime = {name: np.asarray(value) for name, value in values.items()}
    assert int(Polynomial().compute(word, runtime)) == min(max(expected, -128), 127)


@pytest.mark.parametrize("name", ["gelu", "silu"])
def test_slopes_and_offsets(name):
    words = np.arange(-1024, 1024)
    runtime = SlopeOffset().fit(named(name), 1 / 128, BYTE)
    expected = []
    for word in range(-1024, 1024):
        segment, place = divmod(word + 1024, 128)
        total = runtime["offsets"][segment] / 8 + runtime["slopes"][segment] * place / 512
        expected.append(min(max(math.floor(total + 0.5), -128), 127))
    assert SlopeOffset().compute(words, runtime).tolist() == expected
    missed = np.abs(np.array(expected) - named(name)(words / 128) / BYTE.scale)
    assert missed.max() < 2
