"""The decoder's register of exponents and distances, its adder, and the power of what is in it."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data

from roundel.golden.head import BINS, EXPONENT, TERM
from roundel.golden.nms import BoxFormat
from roundel.hw.engine.boxes.powers import HALVES, WIDTH, curve, parts_layout, parts_of, power
from roundel.hw.lib import Component, In, Out, gated, named, unreset


def actions_layout(*, softmax: bool, words: bool) -> data.StructLayout:
    """Return what the register does in a cycle; without any it becomes 0.

    `keep`: add to what is there. Added are a table's `word`, or `less` it; 2**10 less (`drop`), 1 (`one`), -1
    (`negative`), the whole part of the greatest total (`base`). `curve`: the next read for a logarithm, `carry` with
    the last. `left`, `right`: shift a bit.
    """
    members = {"keep": True, "word": words, "negative": True, "left": True}
    members |= dict.fromkeys(("less", "drop", "one", "base", "curve", "carry", "right"), softmax)
    return data.StructLayout({name: 1 for name, known in members.items() if known})


class ExponentRegister(Component):
    """Exponents in units of 2**-10, or distances, and sums of them. All that is done takes a cycle.

    Parameters
    ----------
    form
        Of the boxes; its classes decide how many terms a softmax has.
    mean, softmax, lengths, words
        What is asked of it: terms of distributions, terms and logarithms, lengths, words of tables.
    """

    def __init__(self, form: BoxFormat, *, mean: bool, softmax: bool, lengths: bool, words: bool):
        self.softmax, self.words = softmax, words
        self.powers = mean or softmax or lengths
        self.most = max(form.classes + 1 if softmax else 0, BINS[1] if mean else 0)
        super().__init__(
            do=In(actions_layout(softmax=softmax, words=words), "What it does."),
            bit=In(1, "What is shifted in, with `left`."),
            word=In(signed(16), "A word of a table."),
            fraction=In(EXPONENT, "The fraction whose logarithm is looked for, with `curve`."),
            terms=In(1, "Powers are terms, not lengths; see `roundel.hw.engine.boxes.powers.parts_of`."),
            value=Out(signed(WIDTH), "What is in it."),
            power=Out(HALVES, "The power of what was in it the cycle before."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        do, value = self.do, unreset(m, self.value, "exponent")
        kept: list[tuple[Value, Value]] = [(do.keep, value)]
        added: list[tuple[Value, Value]] = [(do.negative, Const(-1, WIDTH))]
        loaded: list[tuple[Value, Value]] = [(do.left, Cat(self.bit, value[:-1]))]
        if self.words:
            added.append((do.word, self.word))
        if self.powers:
            below = named(m, curve(value[:EXPONENT]), "below")
            parts = Signal(parts_layout(), reset_less=True)
            m.d.sync += parts.eq(parts_of(value, below, self.terms))
            m.d.comb += self.power.eq(power(parts))
        if self.softmax:
            kept.append((do.curve, Cat(below, Const(0, EXPONENT - len(below)), value[EXPONENT:])))
            added += [(do.curve, self.fraction), (do.less, ~self.word), (do.drop, Const(-1 << EXPONENT, WIDTH))]
            added.append((do.base, Const((self.most << TERM).bit_length() - 1 - TERM << EXPONENT)))
            loaded.append((do.right, value >> 1))
        m.d.sync += value.eq(self._sum(m, gated(WIDTH, *kept), gated(WIDTH, *added)) | gated(WIDTH, *loaded))
        return m

    def _sum(self, m: Module, first: Value, second: Value) -> Value:
        """Return the sum of two; between the reads for a logarithm its fraction has no carry."""
        if not self.softmax:
            return (first + second)[:WIDTH]
        more = self.do.less | self.do.one
        low = named(m, (Cat(more, first[:EXPONENT]) + Cat(more, second[:EXPONENT]))[1:], "low")
        carry = low[-1] & (~self.do.curve | self.do.carry)
        return Cat(low[:-1], (first[EXPONENT:] + second[EXPONENT:] + carry)[: WIDTH - EXPONENT])
