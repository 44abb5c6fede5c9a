"""Sums of terms, and means of distributions: two registers, each with an adder."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, signed

from roundel.golden.head import BINS, EXPONENT, TERM
from roundel.hw.lib import Component, In, Out, gated, named

WHOLE = (BINS[1] - 1).bit_length()
"""Whole bits of a mean, in bins."""
_POWERS = TERM + 1  # bits of a term


class Sums(Component):
    """The total of terms, and its moment; then bits of the quotient of the two, or the total's fraction.

    The terms of a distribution come from the last bin to the first: then the moment is the sum of the totals before the
    last. The quotient comes without restoring: what a step subtracts too much, the next ones add.

    Parameters
    ----------
    terms
        Most terms of a total.
    mean
        Whether there are distributions.
    """

    def __init__(self, terms: int, *, mean: bool):
        self.mean = mean
        self.width = (terms << TERM).bit_length()
        super().__init__(
            clear=In(1, "The sums become 0."),
            term=In(_POWERS, "A term."),
            add=In(1, "Add the term, and the total so far to the moment."),
            double=In(1, "Double the total."),
            divide=In(1, "Make the next bit of the mean, from the highest on, of `WHOLE + MEAN`."),
            top=Out(1, "The uppermost bit of the total is set."),
            fraction=Out(EXPONENT, "The bits of the total below the uppermost."),
            bit=Out(1, "A bit of the mean, with `divide`."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        total = Signal(self.width, reset_less=True)
        kept = gated(self.width, (~self.clear & ~self.double, total), (self.double, total << 1))
        m.d.sync += total.eq(kept + gated(_POWERS, (self.add, self.term)))
        m.d.comb += [self.top.eq(total[-1]), self.fraction.eq(total[-1 - EXPONENT : -1])]
        if self.mean:
            divisor = total[: (BINS[1] << TERM).bit_length()]
            width = len(divisor) + WHOLE
            rest = Signal(signed(width), reset_less=True)
            minus = self.divide & ~rest[-1]
            before = gated(width, (~self.clear & ~self.divide, rest), (self.divide, rest << 1))
            added = gated(width, (self.add, total))
            low = named(m, before[:WHOLE] + added[:WHOLE], "low")  # of a quotient, nothing is added there
            chosen = (added[WHOLE:] | gated(len(divisor), (self.divide, divisor))) ^ minus.replicate(len(divisor))
            carry = low[-1] | minus
            high = named(m, (Cat(carry, before[WHOLE:]) + Cat(carry, chosen))[1 : len(divisor) + 1], "high")
            m.d.comb += self.bit.eq(~high[-1])
            m.d.sync += rest.eq(Cat(low[:WHOLE], high))
        return m
