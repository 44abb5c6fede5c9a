"""Sums of powers of two over logits, one logit a cycle: what softmaxes and means of distributions are made of."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream

from roundel.golden.head import EXPONENT, LONGEST, PER_NAT, TERM
from roundel.hw.engine.boxes.powers import mantissa
from roundel.hw.lib import Component, In, Out, multiple

FRACTION = 4
"""Bits of a number of fraction bits."""
EXPONENT_WIDTH = LONGEST.bit_length()
"""Bits of the exponent of a logit below the greatest."""


def sums_layout(terms: int, *, bins: int = 0) -> data.StructLayout:
    """Return the sum of terms, the exponent of the logit marked `own`, and with `bins` the moment of up to so many."""
    fields = {"total": (terms << TERM).bit_length(), "exponent": EXPONENT_WIDTH}
    return data.StructLayout(fields | ({"moment": ((bins - 1) * bins // 2 << TERM).bit_length()} if bins else {}))


class Terms(Component):
    """Terms of logits, as `roundel.golden.head.terms` makes them, and their sum. One logit a cycle.

    The sum of a run of logits is offered `latency` cycles after its last one was taken; the next run begins when the
    sum has been taken, so that nothing on its way has to wait. For its moment, the logits of a distribution come from
    the last bin to the first: then the moment is the sum of the sums before the last.

    Parameters
    ----------
    terms
        Most terms of a sum, 2 to 257.
    bins
        Most terms of a sum whose moment is wanted, the sum of all terms, each times the number of those behind it; 0:
        none is.
    """

    latency = 4

    def __init__(self, terms: int, *, bins: int = 0):
        self.terms, self.bins = terms, bins
        beat = data.StructLayout({"rank": 8, "greatest": 8, "own": 1, "last": 1})
        super().__init__(
            fraction=In(FRACTION, "Fraction bits of a logit, 0 to 10; stands still while there are logits."),
            logits=In(
                stream.Signature(beat),
                "A logit and the greatest one, as unsigned bytes in the order of logits. `own`: it is no term, but its "
                "exponent is wanted. `last`: of a run, with a term.",
            ),
            sums=Out(stream.Signature(sums_layout(terms, bins=bins)), "The sums of a run."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        logit, taken = self.logits.p, self.logits.valid & self.logits.ready
        flags = data.StructLayout({"valid": 1, "own": 1, "last": 1})
        beats = [Signal(flags, name=f"beat_{number}") for number in range(3)]
        product = Signal((255 * PER_NAT).bit_length(), reset_less=True)
        exponent, own = (Signal(EXPONENT_WIDTH, name=name, reset_less=True) for name in ("exponent", "own"))
        term, shifted = Signal(TERM, reset_less=True), Signal.like(product)
        m.d.comb += shifted.eq(product >> self.fraction)
        m.d.sync += [
            beats[0].eq(Cat(taken, logit.own, logit.last)),
            beats[1].eq(beats[0]),
            beats[2].eq(beats[1]),
            product.eq(multiple((logit.greatest - logit.rank)[:8], PER_NAT)),
            exponent.eq(shifted[:EXPONENT_WIDTH] | shifted[EXPONENT_WIDTH:].any().replicate(EXPONENT_WIDTH)),
            term.eq(self._term(exponent)),
        ]
        with m.If(beats[1].valid & beats[1].own):
            m.d.sync += own.eq(exponent)
        full = self._add(m, beats[2], term)
        ending = Cat(full, *(beat.valid & beat.last for beat in beats)).any()
        m.d.comb += [self.logits.ready.eq(~ending), self.sums.valid.eq(full), self.sums.p.exponent.eq(own)]
        return m

    @staticmethod
    def _term(exponent: Value) -> Value:
        """Return two to the power of the negative exponent, `TERM` bits below the point."""
        right = (exponent + (1 << EXPONENT) - 1)[EXPONENT:]
        shifted = Cat(Const(0, TERM - EXPONENT), mantissa((-exponent)[:EXPONENT])) >> right[:4]
        return Mux(right[4:].any(), 0, shifted[:TERM])

    def _add(self, m: Module, beat: data.View, term: Value) -> Value:
        """Sum terms up; returns whether the sum is complete."""
        sums, full, fresh = self.sums.p, Signal(), Signal(init=1)
        total, held = Signal.like(sums.total), Signal.like(sums.total, reset_less=True)
        m.d.comb += [total.eq(Mux(fresh, 0, held) + term), sums.total.eq(held)]
        with m.If(self.sums.ready):
            m.d.sync += full.eq(0)
        with m.If(beat.valid & ~beat.own):
            m.d.sync += [held.eq(total), fresh.eq(beat.last), full.eq(beat.last)]
        if self.bins:
            moment = Signal.like(sums.moment, reset_less=True)
            m.d.comb += sums.moment.eq(moment)
            with m.If(beat.valid & ~beat.own & (fresh | ~beat.last)):
                m.d.sync += moment.eq(Mux(fresh, 0, moment) + Mux(beat.last, 0, total))
        return full
