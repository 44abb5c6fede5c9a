"""Boxes of candidates: one sequenced datapath for the heads of all families."""

from collections.abc import Collection
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream

from roundel.golden.engine import Opcode
from roundel.golden.head import MEAN, READS, BoxForm, Score
from roundel.golden.nms import BoxFormat
from roundel.hw.engine.boxes.candidates import candidate_layout, decoded_layout, has_form, has_score, words_layout
from roundel.hw.engine.boxes.places import Places
from roundel.hw.engine.boxes.register import ExponentRegister
from roundel.hw.engine.boxes.sums import WHOLE, Sums
from roundel.hw.engine.ports import descriptor_layout
from roundel.hw.lib import Component, In, Out, TwoPortMemory, gated, named, select, unreset

_ROUNDED = 9  # what `count` is at the last read for a logarithm, and when a cost has a bit below the point
_BYTE = 8
_PRIORS = {"centres": 512, "corners": 256}  # numbers of the first words of the priors
_EXPONENTS = 768  # number of the first word of a softmax's exponents


class BoxDecoder(Component):
    """What `roundel.golden.head` makes of the candidates of a scale, one after the other.

    A number of a box is in the register when its corner is made: bits of a byte, or of a mean, from the highest on; or
    an exponent, of which the power is taken; or a sum of words. The place of the location is multiplied meanwhile. A
    box of distances takes about 50 cycles, of centres 50, of corners 45, of distributions 170 with 16 bins, and a
    softmax 35 and its classes.

    Parameters
    ----------
    form
        Of the boxes.
    heads
        What the unit knows, see `EngineParams.heads`.
    """

    def __init__(self, form: BoxFormat, heads: Collection[str]):
        self.format = form
        self.dfl, self.softmax = BoxForm.DFL in heads, Score.SOFTMAX in heads
        self.centre, self.corners = BoxForm.CENTRE in heads, BoxForm.CORNERS in heads
        self.tables, self.summing = self.centre or self.corners, self.dfl or self.softmax
        self.words_known = self.tables or self.summing
        super().__init__(
            descriptor=In(descriptor_layout(Opcode.BOXES, heads=True), "The descriptor of the scale; it stands still."),
            words=In(words_layout(), "Words of its tables, all before the first candidate."),
            candidates=In(
                stream.Signature(candidate_layout(form)),
                "What may have a box, in the order of boxes; each stays until its box is given, or found to be none.",
            ),
            bytes=In(
                stream.Signature(_BYTE),
                "Of the candidate: its numbers 0, 2, 1, 3, axis by axis; of a distribution the greatest bin first, "
                "then all from the last on. Then, with a softmax, the greatest logit, all logits, its own.",
            ),
            boxes=Out(stream.Signature(decoded_layout(form)), "The boxes, in the same order."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._signals(m)
        self._parts(m)
        self._counter(m)
        with m.FSM():
            with m.State("candidate"):
                m.d.comb += self.places.begin.eq(1)
                with m.If(self.candidates.valid):
                    m.next = "number"
            self._number(m)
            self._bits(m)
            self._corner(m)
            self._give(m)
            if self.tables:
                self._words(m)
            if self.summing:
                self._terms(m)
            if self.dfl:
                self._divide(m)
            if self.softmax:
                self._score(m)
        return m

    def _signals(self, m: Module) -> None:
        """Name what the states share."""
        head, false = self.descriptor, Const(0, 1)

        def is_form(part: str, known: bool) -> Value:
            return named(m, has_form(head, part), f"is_{part}") if known else false

        self.means, self.lengths = is_form("distribution", self.dfl), is_form("sides", self.centre)
        self.centred, self.cornered = is_form("centres", self.centre), is_form("corners", self.corners)
        self.costs = has_score(head, Score.SOFTMAX) if self.softmax else false
        self.looked = self.lengths | self.centred | self.cornered
        self.axis, self.far = Signal(), Signal()  # the number at work
        self.scoring = Signal() if self.softmax else false  # the box is there, but not its score
        self.shifting, self.running, self.ends = Signal(), Signal(), Signal()
        if self.summing:
            self.steps = Signal(3, reset_less=True)  # a word of a term is there, is in the register, its power is
            self.greatest = Signal(8, reset_less=True)
            below = (~(~self.greatest + self.bytes.payload))[:8]  # a difference without a carry into it
            self.exponent = Cat(below, self.scoring, self.scoring)  # address

    def _parts(self, m: Module) -> None:
        """Connect register, sums, places and tables."""
        m.submodules.register = self.register = register = ExponentRegister(
            self.format, mean=self.dfl, softmax=self.softmax, lengths=self.centre, words=self.words_known
        )
        m.submodules.places = self.places = places = Places(self.format, centre=self.centre)
        candidate, powers = self.candidates.p, self.lengths | self.centred
        size = register.value
        if self.centre:
            power = named(m, powers & ~places.joining, "takes_power")
            size = gated(len(size), (~power, size), (power, register.power))
        m.d.comb += [
            places.descriptor.eq(self.descriptor),
            places.number.eq(Mux(self.axis, candidate.row, candidate.column)),
            places.axis.eq(self.axis),
            places.centred.eq(self.centred),
            places.distance.eq(size),
            places.minus.eq(~self.far & ~self.cornered),
        ]
        if self.summing:
            m.submodules.sums = self.sums = sums = Sums(register.most, mean=self.dfl)
            m.d.comb += [
                register.fraction.eq(sums.fraction),
                register.terms.eq(self.means | self.scoring),
                sums.term.eq(register.power),
                sums.add.eq(self.steps[2]),
            ]
            m.d.sync += self.steps.eq(Cat(self.running & self.bytes.valid, self.steps))
        if self.words_known:
            m.submodules.table = self.table = table = TwoPortMemory(width=16, depth=self._depth())
            m.d.comb += [
                table.read_en.eq(1),
                table.write_en.eq(self.words.valid),
                table.write_addr.eq(self.words.payload.address),
                table.write_data.eq(self.words.payload.word),
                register.word.eq(table.read_data),
            ]

    def _depth(self) -> int:
        """Return the words of the tables; those of a softmax are the last ones, whatever else there is."""
        if self.softmax:
            return 1024 if self.tables else 512 if self.dfl else 256
        if self.centre:
            return _PRIORS["centres"] + 32
        return _PRIORS["corners"] + 64 if self.corners else 256

    def _counter(self, m: Module) -> None:
        """Count bits, terms, reads; `ends` with the last of them."""
        head = self.descriptor
        self.count = count = Signal(max(6, self.register.most.bit_length()), reset_less=True)
        steps = Signal(range(-16, 32))
        m.d.comb += steps.eq(head.shift + Mux(self.means, WHOLE + MEAN + 1, _BYTE + 1))
        choices: list[tuple[Value, Value]] = [(self.shifting, steps[:-1])]
        if self.dfl:
            choices.append((self.running & ~self.scoring, head.bins))
        if self.softmax:
            other = ~self.shifting & ~self.running
            choices += [(self.running & self.scoring, head.classes[: len(count)]), (other, Const(_ROUNDED))]
        m.d.comb += self.ends.eq((count == gated(len(count), *choices)) | (self.shifting & steps[-1]))

    def _number(self, m: Module) -> None:
        """Begin with a number of the box, or the softmax: its first byte."""
        byte, register = self.bytes, self.register
        with m.State("number"):
            m.d.sync += self.count.eq(self.means & ~self.scoring)  # its terms begin with 1
            if self.tables:
                m.d.comb += self.table.read_addr.eq(Cat(byte.payload, self.centred & self.places.ready))
            if self.summing:
                m.d.comb += self.sums.clear.eq(1)
                m.d.sync += self.greatest.eq(byte.payload)
            with m.If(byte.valid):
                sign = byte.payload[-1] & self.descriptor.box_signed
                m.d.comb += register.do.negative.eq(sign & ~self.looked & ~self.means & ~self.scoring)
                m.next = "bits"
            if self.tables:
                with m.If(byte.valid & self.looked & ~self.scoring):
                    m.d.comb += byte.ready.eq(1)
                    m.next = "word"
            if self.summing:
                with m.If(byte.valid & (self.means | self.scoring)):
                    m.d.comb += byte.ready.eq(1)
                    m.next = "terms"

    def _bits(self, m: Module) -> None:
        """Distance: the byte's bits, as far as the shift says."""
        byte, register, count = self.bytes, self.register, self.count
        bit = ~count[3:].any() & select(list(byte.payload[::-1]), count[:3])
        with m.State("bits"):
            m.d.comb += self.shifting.eq(1)
            with m.If(self.ends):
                m.d.comb += [register.do.keep.eq(1), byte.ready.eq(1)]
                m.next = "corner"
            with m.Else():
                m.d.comb += [register.do.left.eq(1), register.bit.eq(bit)]
                m.d.sync += count.eq(count + 1)

    def _corner(self, m: Module) -> None:
        """Corner beside the place; of a centre both, of the same length."""
        places, far, axis, names = self.places, self.far, self.axis, ("x1", "x2", "y1", "y2")
        corners = {name: unreset(m, self.boxes.p[name], f"{name}_now") for name in names}
        with m.State("corner"):
            m.d.comb += self.register.do.keep.eq(1)
            with m.If(places.ready):
                m.d.sync += far.eq(~far)
                with m.If(~far & ~self.centred):
                    m.next = "number"
                with m.Elif(far):
                    m.d.comb += places.begin.eq(1)
                    m.d.sync += axis.eq(~axis)
                    m.next = "number"
                    if self.softmax:
                        m.d.sync += self.scoring.eq(axis & self.costs)
                    with m.If(axis & ~self.costs):
                        m.next = "give"
                with m.Switch(Cat(far, axis)):
                    for number, name in enumerate(names):
                        with m.Case(number):
                            m.d.sync += corners[name].eq(places.corner)

    def _give(self, m: Module) -> None:
        """Offer the box, if it is one."""
        candidate, box, score, good = self.candidates.p, self.boxes.p, self.candidates.p.score, Signal()
        passes: Value = Const(1, 1)
        if self.softmax:
            cost, most = self.register.value, self.descriptor.most
            passes = ~self.costs | (~cost[len(most) :].any() & (cost[: len(most)] <= most))
            score = Mux(self.costs, ~cost[: len(score)], score)
        m.d.comb += [box[name].eq(candidate[name]) for name in ("row", "column", "prior", "label")]
        m.d.comb += [box.score.eq(score), good.eq(passes & (box.x1 < box.x2) & (box.y1 < box.y2))]
        with m.State("give"):
            m.d.comb += [
                self.register.do.keep.eq(1),
                self.boxes.valid.eq(good),
                self.candidates.ready.eq(~good | self.boxes.ready),
            ]
            with m.If(self.candidates.ready):
                m.next = "candidate"
                if self.softmax:
                    m.d.sync += self.scoring.eq(0)

    def _words(self, m: Module) -> None:
        """Words of tables: of the byte, then of its prior; the first one of a centre is an offset."""
        places, do, prior = self.places, self.register.do, self.candidates.p.prior
        size = Cat(self.axis, prior, Const(_PRIORS["centres"] >> 5, 5))
        corner = Cat(self.axis, self.far, prior, Const(_PRIORS["corners"] >> 6, 4))
        address = Mux(self.cornered, corner, size) if self.centre else corner
        with m.State("word"):
            m.d.comb += [do.word.eq(1), self.table.read_addr.eq(address)]
            m.next = "prior"
            if self.centre:
                with m.If(self.lengths):
                    m.next = "power"
                with m.Elif(self.centred & ~places.ready):
                    m.next = "join"
        with m.State("prior"):
            m.d.comb += [do.keep.eq(1), do.word.eq(1)]
            m.next = "power" if self.centre else "corner"
            if self.corners:
                with m.If(self.cornered):
                    m.next = "double"
        if self.centre:
            with m.State("power"):
                m.d.comb += do.keep.eq(1)
                m.next = "corner"
            with m.State("join"):
                m.d.comb += [do.keep.eq(1), places.join.eq(1)]
                with m.If(places.joining):
                    m.next = "number"
        if self.corners:
            with m.State("double"):
                m.d.comb += do.left.eq(1)
                m.next = "corner"

    def _terms(self, m: Module) -> None:
        """Add the terms of a distribution or a softmax."""
        steps = self.steps
        with m.State("terms"):
            m.d.comb += [self.bytes.ready.eq(1), self.running.eq(1), self.table.read_addr.eq(self.exponent)]
            m.d.comb += self.register.do.word.eq(steps[0])
            with m.If(self.bytes.valid):
                m.d.sync += self.count.eq(self.count + 1)
                with m.If(self.ends):
                    m.next = "last"
        with m.State("last"):
            m.d.comb += self.register.do.word.eq(steps[0])
            with m.If(~steps[:2].any()):
                m.d.sync += self.count.eq(0)
                m.next = "divide" if self.dfl else "normalize"
                if self.softmax:
                    with m.If(self.scoring):
                        m.d.comb += self.register.do.base.eq(1)
                        m.next = "normalize"

    def _divide(self, m: Module) -> None:
        """Distance: the bits of the mean, as far as the shift says."""
        register, count = self.register, self.count
        with m.State("divide"):
            m.d.comb += self.shifting.eq(1)
            with m.If(self.ends):
                m.d.comb += register.do.keep.eq(1)
                m.next = "corner"
            with m.Else():
                m.d.comb += [register.do.left.eq(1), self.sums.divide.eq(1)]
                m.d.comb += register.bit.eq(self.sums.bit & (count < WHOLE + MEAN))
                m.d.sync += count.eq(count + 1)

    def _score(self, m: Module) -> None:
        """Cost of a softmax: the logarithm of the total, and the exponent of the own logit; then it is rounded."""
        do, count, sums = self.register.do, self.count, self.sums
        with m.State("normalize"):
            m.d.comb += do.keep.eq(1)
            m.d.sync += count.eq(_ROUNDED + 1 - READS)
            with m.If(sums.top):
                m.next = "logarithm"
            with m.Else():
                m.d.comb += [sums.double.eq(1), do.drop.eq(1)]
        with m.State("logarithm"):
            m.d.comb += [do.curve.eq(1), do.carry.eq(self.ends)]
            m.d.sync += count.eq(count + 1)
            with m.If(self.ends):
                m.next = "own"
        with m.State("own"):
            m.d.comb += [do.keep.eq(1), self.bytes.ready.eq(1), self.table.read_addr.eq(self.exponent)]
            with m.If(self.bytes.valid):
                m.next = "less"
        with m.State("less"):
            m.d.comb += [do.keep.eq(1), do.less.eq(1)]
            m.d.sync += count.eq(self.descriptor.cost_fraction)
            m.next = "round"
        with m.State("round"):
            m.d.sync += count.eq(count + 1)
            m.d.comb += [do.right.eq(~self.ends), do.keep.eq(self.ends), do.one.eq(self.ends)]
            with m.If(self.ends):
                m.next = "halve"
        with m.State("halve"):
            m.d.comb += do.right.eq(1)
            m.next = "give"
