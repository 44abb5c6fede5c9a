"""Lengths from logarithms: one table, one addition and one shift."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, stream

from roundel.golden.head import EXPONENT, INDEX, POWERS, WIDEST
from roundel.hw.lib import Component, In, Out, select

EXPONENT_WIDTH = 17
"""Bits of an exponent: the sum of two signed words of 16 bits."""
_TABLE_WIDTH = max(POWERS).bit_length()


def mantissa(fraction: Value) -> Value:
    """Return the power of `EXPONENT` bits below the point, with one bit above it."""
    table = select([Const(entry, _TABLE_WIDTH) for entry in POWERS], fraction[EXPONENT - INDEX :])
    return (Cat(fraction, Const(1, 1)) - table)[: EXPONENT + 1]


class Length(Component):
    """The power of two of an exponent, as `roundel.golden.head.length` makes it. One a cycle, `latency` cycles later.

    Exponents count units of 2**-10, and lengths those of a coordinate.
    """

    latency = 2

    def __init__(self) -> None:
        super().__init__(
            exponents=In(stream.Signature(signed(EXPONENT_WIDTH)), "Logarithms of base 2, in units of 2**-10."),
            lengths=Out(stream.Signature(unsigned(WIDEST)), "Their powers, rounded, at most the longest."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        exponent, whole = self.exponents.payload, self.exponents.payload[EXPONENT:].as_signed()
        held = data.StructLayout({"valid": 1, "mantissa": EXPONENT + 1, "right": 5, "longest": 1, "none": 1})
        first, valid, length = Signal(held), Signal(), Signal(WIDEST, reset_less=True)
        advance = Signal()
        most = WIDEST - 1  # whole bits of the longest length that is no limit
        with m.If(advance):
            m.d.sync += [
                first.valid.eq(self.exponents.valid),
                first.mantissa.eq(mantissa(exponent[:EXPONENT])),
                first.right.eq((most - whole)[:5]),
                first.longest.eq(whole > most),
                first.none.eq(whole < most - 31),
                valid.eq(first.valid),
                length.eq(Mux(first.longest, ~Const(0, WIDEST), self._rounded(first) & ~first.none.replicate(WIDEST))),
            ]
        m.d.comb += [
            advance.eq(~valid | self.lengths.ready),
            self.exponents.ready.eq(advance),
            self.lengths.valid.eq(valid),
            self.lengths.payload.eq(length),
        ]
        return m

    @staticmethod
    def _rounded(held: data.View) -> Value:
        """Return the mantissa at its place, whose lowest bit is worth a half before it is rounded."""
        halves = Cat(Const(0, WIDEST - EXPONENT), held.mantissa) >> held.right
        return (halves[1:] + halves[0])[:WIDEST]
