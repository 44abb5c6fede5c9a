"""The tables of a detector head: taken from the parameter stream, a word of 16 bits a cycle."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import stream

from roundel.golden.engine import EngineParams, Opcode
from roundel.golden.head import COST_WIDTH, Score
from roundel.hw.axi import command_layout, read_layout
from roundel.hw.engine.boxes.candidates import has_form, has_score, words_layout
from roundel.hw.engine.ports import OUTER_ADDRESS, descriptor_layout
from roundel.hw.lib import Component, In, Out, TwoPortMemory, gated, named, select

BYTES = 256
"""Entries of a table."""
WORD = 16
NUMBER = 11
"""Bits of the number of a word: of all tables there are 1,060 at most."""


class Tables(Component):
    """Asks for the parameter stream of a scale; keeps costs, and gives the other words away, one a cycle.

    A stream that is not as long as its tables sets `fault`: nothing is read then, and nothing goes on.

    Parameters
    ----------
    params
        The engine's.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        self.costs = "product" in params.heads
        self.some = bool({"product", "softmax", "dfl", "centre", "corners"} & set(params.heads))
        super().__init__(
            start=In(1, "A scale begins."),
            descriptor=In(descriptor_layout(Opcode.BOXES, heads=True), "The descriptor; it stands still."),
            origin=In(OUTER_ADDRESS, "Address of the tables in the outer memory; from the cycle after `start` on."),
            command=Out(stream.Signature(command_layout()), "The transfer of the tables, for the bus reader."),
            parameters=In(stream.Signature(read_layout(params.bus)), "Beats of the tables, from the bus reader."),
            words=Out(
                words_layout(), "The words behind the costs; of a softmax's exponents, which come first, from 768 on."
            ),
            read=In(1, "Read the cost at `address`."),
            address=In(range(2 * BYTES), "Costs of logits, then those of objectness, each by its byte."),
            cost=Out(COST_WIDTH, "The cost, from the next cycle until the next `read`."),
            done=Out(1, "All tables are there; until `start`."),
            fault=Out(1, "The stream has another length than the tables of the head; held."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        head, asks, takes = self.descriptor, Signal(), Signal()
        total = self._total(m)
        m.d.comb += self.done.eq(~asks & ~takes & ~self.fault & ~self.start)
        with m.If(self.start):
            m.d.sync += [
                self.fault.eq(head.parameters_bytes != total << 1),
                asks.eq((head.parameters_bytes == total << 1) & (total != 0)),
            ]
        if self.some:
            self._take(m, asks, takes)
        return m

    def _total(self, m: Module) -> Value:
        """Return how many words the head's tables have."""
        head, known = self.descriptor, self.params.heads
        product, softmax = self._scores()
        one = list[Value]()
        if "dfl" in known:
            one.append(has_form(head, "distribution"))
        two, four = Const(0, 1), Const(0, 1)
        if "centre" in known:
            one.append(has_form(head, "sides"))
            two = has_form(head, "centres")
        if "corners" in known:
            four = has_form(head, "corners")
            one.append(four)
        number = (head.priors + 1)[:5]
        rest = gated(7, (two, number << 1), (four, number << 2))
        tables = (Cat(softmax, product) + Cat(Cat(one).any(), two))[: NUMBER - 8]
        return named(m, Cat(rest, Const(0, 1), tables), "total")

    def _scores(self) -> tuple[Value, Value]:
        """Return whether scores are products, and whether they are softmaxes."""
        head, known, none = self.descriptor, self.params.heads, Const(0, 1)
        return (
            has_score(head, Score.PRODUCT) if self.costs else none,
            has_score(head, Score.SOFTMAX) if "softmax" in known else none,
        )

    def _take(self, m: Module, asks: Signal, takes: Signal) -> None:
        """Ask for the stream, and take its words out of the beats."""
        head, beats, number = self.descriptor, self.parameters, Signal(NUMBER, reset_less=True)
        pieces = [beats.p.data.word_select(place, WORD) for place in range(self.params.bus // WORD)]
        place = number[: (len(pieces) - 1).bit_length()]
        word = named(m, select(pieces, place), "word")
        behind = Cat(*(beats.p.keep[2 * at + 2] for at in range(len(pieces) - 1)), Const(0, 1))
        taken = named(m, takes & beats.valid, "taken")
        last = named(m, beats.p.last & ~select(list(behind), place), "last")  # no byte of the next word counts
        product, softmax = self._scores()
        costs = named(m, product & ~number[9:].any(), "costs")
        m.d.comb += [
            self.command.valid.eq(asks),
            self.command.p.address.eq(self.origin),
            self.command.p.bytes.eq(head.parameters_bytes),
            beats.ready.eq(takes & (last | place.all())),
            self.words.valid.eq(taken & ~costs),
            self.words.payload.word.eq(word),
            self.words.payload.address.eq(Cat(number[:8], number[8:10] - Cat(softmax, product))),
        ]
        with m.If(self.start):
            m.d.sync += number.eq(0)
        with m.If(asks & self.command.ready):
            m.d.sync += [asks.eq(0), takes.eq(1)]
        with m.If(taken):
            m.d.sync += [number.eq(number + 1), takes.eq(~last)]
        if self.costs:
            m.submodules.table = table = TwoPortMemory(width=COST_WIDTH, depth=2 * BYTES)
            m.d.comb += [
                table.write_en.eq(taken & costs),
                table.write_addr.eq(number),
                table.write_data.eq(word),
                table.read_en.eq(self.read),
                table.read_addr.eq(self.address),
                self.cost.eq(table.read_data),
            ]
