"""Powers of two of exponents: one table, one subtraction and one shift, for lengths and for terms of sums."""

from amaranth.hdl import Cat, Const, Mux, Value
from amaranth.lib import data

from roundel.golden.head import COARSE, COARSE_POWERS, EXPONENT, FINE, FINE_POWERS, POWERS, SLOPES, TERM, WIDEST
from roundel.hw.lib import select

WIDTH = 22
"""Bits of exponents and distances in the decoder's register, signed."""
HALVES = WIDEST + 1
"""Bits of a length whose lowest bit is worth a half."""
_STEPS = 5  # bits of the shifter's distance


def curve(fraction: Value) -> Value:
    """Return by how much the power of a fraction lies below the straight line."""
    coarse, slope, fine = fraction[-COARSE:], fraction[-SLOPES:], fraction[-COARSE - FINE : -COARSE]
    parts = ((COARSE_POWERS, coarse), (FINE_POWERS, Cat(fine, slope)))
    first, second = (select([Const(entry, max(table).bit_length()) for entry in table], at) for table, at in parts)
    return (first + second)[: max(POWERS).bit_length()]


def parts_layout() -> data.StructLayout:
    """Return the parts of a power: its mantissa, how far it is moved, and whether it is the longest length."""
    return data.StructLayout({"mantissa": EXPONENT + 1, "distance": _STEPS, "longest": 1})


def parts_of(exponent: Value, below: Value, term: Value) -> Value:
    """Return the `parts_layout` of the power of an exponent, combinational.

    Parameters
    ----------
    exponent
        In units of 2**-10, signed, at least 17 bits.
    below
        `curve` of its fraction.
    term
        The power counts units of 2**-14, rounded down, and the exponent is 0 or below; else halves of a length, as
        `roundel.golden.head.length` has it before it is rounded.
    """
    whole = exponent[EXPONENT:].as_signed()
    sign, upper = whole[-1], whole[_STEPS - 1 : -1]
    none = sign & ~(upper.all() & whole[: _STEPS - 1].any())
    longest = ~sign & (whole[_STEPS:].any() | (whole[_STEPS - 1] & whole[: _STEPS - 1].any()))
    distance = (~whole[:_STEPS] + Mux(term, WIDEST - TERM + 1, WIDEST))[:_STEPS] | none.replicate(_STEPS)
    mantissa = (Cat(exponent[:EXPONENT], Const(1, 1)) - below)[: EXPONENT + 1]
    return Cat(mantissa, distance, longest)


def power(parts: data.View) -> Value:
    """Return the power that has those parts, combinational, of `HALVES` bits."""
    moved = Cat(Const(0, WIDEST - EXPONENT), parts.mantissa) >> parts.distance
    return moved | Cat(Const(0, 1), parts.longest.replicate(HALVES - 1))
