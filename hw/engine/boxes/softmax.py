"""The cost of a class in a softmax: its exponent plus the logarithm of the sum of terms."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream

from roundel.golden.head import EXPONENT, INDEX, LOGARITHMS, MOST_FRACTION, TERM
from roundel.hw.engine.boxes.terms import EXPONENT_WIDTH, sums_layout
from roundel.hw.lib import Component, In, Out, select

WIDTH = EXPONENT_WIDTH + 1 - EXPONENT + MOST_FRACTION
"""Bits of a cost, those that no box has included."""
_TABLE_WIDTH = max(LOGARITHMS).bit_length()


class SoftmaxCost(Component):
    """The cost of the class whose logit was `own`, as `roundel.golden.head.SoftmaxParams.costs` makes it.

    One at a time, in 3 cycles, one for each place that the total is shifted until its uppermost bit is set (at most
    `steps`), and one for each of the `EXPONENT - bits` bits that are rounded away.

    Parameters
    ----------
    terms
        Most terms of a softmax, 2 to 257.
    """

    def __init__(self, terms: int):
        self.terms = terms
        self.sums_shape = sums_layout(terms)
        self.steps = len(Signal(self.sums_shape).total) - TERM + 1
        super().__init__(
            bits=In(range(MOST_FRACTION + 1), "Fraction bits of a cost, 0 to 8."),
            sums=In(stream.Signature(self.sums_shape), "Total of a softmax, and the exponent of a class."),
            costs=Out(stream.Signature(unsigned(WIDTH)), "The costs of these classes."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        total, place = (
            Signal.like(self.sums.p.total, reset_less=True),
            Signal(range(self.steps + TERM), reset_less=True),
        )
        cost, left = Signal(EXPONENT_WIDTH + 2, reset_less=True), Signal(range(EXPONENT + 1), reset_less=True)
        m.d.comb += self.costs.payload.eq((cost + 1) >> 1)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.sums.ready.eq(1)
                m.d.sync += [total.eq(self.sums.p.total), cost.eq(self.sums.p.exponent), place.eq(len(total) - 1)]
                with m.If(self.sums.valid):
                    m.next = "normalize"
            with m.State("normalize"):
                m.d.sync += [total.eq(total << 1), place.eq(place - 1), left.eq(EXPONENT - self.bits)]
                with m.If(total[-1]):
                    m.d.sync += cost.eq(self._added(cost[:EXPONENT_WIDTH], place, total) << 1)
                    m.next = "round"
            with m.State("round"):
                m.d.comb += self.costs.valid.eq(left == 0)
                with m.If(left != 0):
                    m.d.sync += [left.eq(left - 1), cost.eq(cost >> 1)]
                with m.Elif(self.costs.ready):
                    m.next = "idle"
        return m

    @staticmethod
    def _added(exponent: Value, place: Value, total: Value) -> Value:
        """Return an exponent plus the logarithm of a total, which are not below 0 together."""
        fraction = total[:-1][-EXPONENT:]
        table = select([Const(entry, _TABLE_WIDTH) for entry in LOGARITHMS], fraction[EXPONENT - INDEX :])
        logarithm = Cat(fraction, (place - TERM)[:5]).as_signed() + table
        cost = logarithm + exponent
        return Mux(cost < 0, 0, cost[: EXPONENT_WIDTH + 1])
