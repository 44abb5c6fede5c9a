"""The decoder's register of exponents and distances, its adder, and the power of what is in it."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Value, signed
from amaranth.lib import data

from roundel.golden.head import BINS, EXPONENT, PER_NAT, TERM
from roundel.golden.nms import BoxFormat
from roundel.hw.engine.boxes.powers import HALVES, WIDTH, curve, power
from roundel.hw.engine.boxes.sums import HELD
from roundel.hw.lib import Component, In, Out, gated, multiple, named

FRACTION = 4
"""Bits of a number of fraction bits."""


def actions_layout(*, summing: bool, softmax: bool, tables: bool) -> data.StructLayout:
    """Return what the register does in a cycle; without any it becomes 0.

    `keep`: add to what is there. Added are a table's `word`, the `total`, 2**10 less (`drop`), 1 (`one`), -1
    (`negative`), the whole part of the greatest total (`base`). `curve`: the next read for a logarithm, `carry` with
    the last. `load`: the exponent of a byte; `own`: of the greatest byte less that one. `left`, `right`: shift a bit.
    """
    members = {
        "keep": True,
        "word": tables,
        "total": softmax,
        "drop": softmax,
        "one": softmax,
        "negative": True,
        "base": softmax,
        "curve": softmax,
        "carry": softmax,
        "load": summing,
        "own": softmax,
        "left": True,
        "right": softmax,
    }
    return data.StructLayout({name: 1 for name, known in members.items() if known})


class ExponentRegister(Component):
    """Exponents in units of 2**-10, or distances, and sums of them. All that is done takes a cycle.

    Parameters
    ----------
    form
        Of the boxes; its classes decide how many terms a softmax has.
    mean, softmax, tables
        What is asked of it: terms of distributions, terms and logarithms, words of tables and lengths.
    """

    def __init__(self, form: BoxFormat, *, mean: bool, softmax: bool, tables: bool):
        self.softmax, self.tables, self.summing = softmax, tables, mean or softmax
        self.terms = max(form.classes + 1 if softmax else 0, BINS[1] if mean else 0)
        super().__init__(
            do=In(actions_layout(summing=self.summing, softmax=softmax, tables=tables), "What it does."),
            bit=In(1, "What is shifted in, with `left`."),
            byte=In(8, "A logit."),
            greatest=In(8, "The greatest logit."),
            fraction_bits=In(FRACTION, "Fraction bits of a logit."),
            word=In(signed(16), "A word of a table."),
            fraction=In(EXPONENT, "The fraction whose logarithm is looked for, with `curve`."),
            total=In(signed(HELD), "A logarithm."),
            value=Out(signed(WIDTH), "What is in it."),
            power=Out(HALVES, "The power of that, see `roundel.hw.engine.boxes.powers.power`."),
            term=Out(1, "The power is a term: that of the logit of the cycle before."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        do, value = self.do, self.value
        below = named(m, curve(value[:EXPONENT]), "below") if self.tables or self.summing else Const(0)
        kept: list[tuple[Value, Value]] = [(do.keep, value)]
        added: list[tuple[Value, Value]] = [(do.negative, Const(-1, WIDTH))]
        loaded: list[tuple[Value, Value]] = [(do.left, Cat(self.bit, value[:-1]))]
        if self.summing:
            loaded.append((do.load, self._exponent()))
            m.d.sync += self.term.eq(do.load & ~do.own if self.softmax else do.load)
        if self.tables:
            added.append((do.word, self.word))
        if self.softmax:
            kept.append((do.curve, Cat(below, Const(0, EXPONENT - len(below)), value[EXPONENT:])))
            added += [(do.curve, self.fraction), (do.total, self.total), (do.drop, Const(-1 << EXPONENT, WIDTH))]
            added += [(do.one, Const(1)), (do.base, Const((self.terms << TERM).bit_length() - 1 - TERM << EXPONENT))]
            loaded.append((do.right, value >> 1))
        if self.tables or self.summing:
            m.d.comb += self.power.eq(power(value, below, self.term))
        m.d.sync += value.eq(self._sum(m, gated(WIDTH, *kept), gated(WIDTH, *added)) | gated(WIDTH, *loaded))
        return m

    def _sum(self, m: Module, first: Value, second: Value) -> Value:
        """Return the sum of two; between the reads for a logarithm its fraction has no carry."""
        if not self.softmax:
            return (first + second)[:WIDTH]
        low = named(m, first[:EXPONENT] + second[:EXPONENT], "low")
        carry = low[-1] & (~self.do.curve | self.do.carry)
        return Cat(low[:-1], (first[EXPONENT:] + second[EXPONENT:] + carry)[: WIDTH - EXPONENT])

    def _exponent(self) -> Value:
        """Return the exponent of a byte, rounded down: of logit less greatest, which is at most 0, or the other way."""
        own = self.do.own if self.softmax else Const(0, 1)
        low = ((~self.byte).as_unsigned() + self.greatest + own)[:8] ^ ~own.replicate(8)
        difference = Cat(low, ~own & low.any()).as_signed()
        return multiple(difference, PER_NAT) >> self.fraction_bits
