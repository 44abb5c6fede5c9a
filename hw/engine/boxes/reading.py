"""What of a detector head's maps is read, phase by phase: from the words of the memory to pieces of runs."""

from enum import IntEnum
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring

from roundel.golden.engine import EngineParams, Opcode
from roundel.golden.head import Score
from roundel.hw.engine.boxes.candidates import has_form, has_score
from roundel.hw.engine.boxes.counters import PRIOR, Channels
from roundel.hw.engine.boxes.cursor import Cursor
from roundel.hw.engine.boxes.runs import COUNT, ByteRuns, piece_layout
from roundel.hw.engine.ports import descriptor_layout, read_port, word_address
from roundel.hw.lib import Component, In, Out, named

SIDES = 4


class Phase(IntEnum):
    """What is being read.

    SCAN: logits, or with products the objectness, of one location after the other. BEST: the logits of a prior whose
    objectness passed. EACH: its logits one by one. PEAK: the greatest logit around a class. BOX: the numbers of the
    box. SUM: the logits of a softmax.
    """

    SCAN = 0
    BEST = 1
    EACH = 2
    PEAK = 3
    BOX = 4
    SUM = 5


class Reading(Component):
    """Pieces of the runs that a phase has. The first word comes `LATENCY` cycles after `seek`.

    A cycle more for every prior before `prior`, and for every plane before the first one that is wanted. From side to
    side of a distribution it takes `SIDE` cycles, and one for every plane.

    Parameters
    ----------
    params
        The engine's, with `heads`.
    """

    LATENCY = 1 + Cursor.LATENCY
    SIDE = 2 + Cursor.LATENCY

    def __init__(self, params: EngineParams):
        self.params = params
        self.product, self.softmax, self.bins = (name in params.heads for name in ("product", "softmax", "dfl"))
        super().__init__(
            descriptor=In(descriptor_layout(Opcode.BOXES, heads=True), "The descriptor of the scale."),
            phase=In(Phase, "What is read; it stands still from `seek` to `stop`."),
            measure=In(1, "Look how many planes SCAN has; with that phase."),
            seek=In(1, "Begin."),
            stop=In(1, "Drop what is on its way."),
            prior=In(PRIOR, "Of which prior; of SCAN the first."),
            location=In(word_address(params), "Of which location; of SCAN the first."),
            label=In(8, "The class, for PEAK; the class before the first one, for EACH."),
            memory=Out(read_port(params), "Reads words of the activation memory."),
            pieces=Out(stream.Signature(piece_layout(params.lanes)), "The pieces."),
            began=Out(1, "For one cycle: `lane` is where the first run begins."),
            lane=Out(range(params.lanes), "Beside `began`."),
            step=Out(COUNT, "Channels of a prior, beside `began` and from then on."),
            flipped=Out(1, "The upper bits of the pieces' ranks are other ones than in the memory."),
            there=Out(1, "What `measure` or `seek` began with is over."),
            cut=Out(1, "All pieces were cut."),
            empty=Out(1, "No piece is on its way."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.cursor, m.submodules.runs = cursor, runs = Cursor(self.params), ByteRuns(self.params)
        m.submodules.channels = channels = Channels(self.params)
        wiring.connect(m, cursor.memory, wiring.flipped(self.memory))
        wiring.connect(m, cursor.words, runs.words)
        wiring.connect(m, runs.pieces, wiring.flipped(self.pieces))
        measures, seeks, last = Signal(), Signal(), Signal.like(cursor.last, name="last", reset_less=True)
        with m.If(self.measure | self.seek):
            m.d.sync += [measures.eq(self.measure), seeks.eq(self.seek)]
        with m.Elif(channels.there):
            m.d.sync += [measures.eq(0), seeks.eq(0)]
        turn = Signal.like(cursor.last, name="turn", reset_less=True)  # the last plane of what is not SCAN
        m.d.sync += turn.eq(channels.end)
        with m.If(measures):
            m.d.sync += last.eq(channels.end)
        scans, more = named(m, self.phase == Phase.SCAN, "scans"), self._sides(m, channels, seeks, runs)
        with m.If(more):
            m.d.sync += seeks.eq(1)
        m.d.comb += [
            self.began.eq(seeks & channels.there),
            self.lane.eq(channels.channel),
            self.there.eq(~measures & ~seeks),
            self.cut.eq(self.there & runs.cut & ~more),
            self.empty.eq(runs.empty),
            channels.begin.eq(self.measure | self.seek),
            channels.count.eq(Mux(measures, self.descriptor.priors, self.prior)),
            cursor.begin.eq(self.began),
            cursor.stop.eq(self.stop | more),
            cursor.location.eq(self.location),
            cursor.plane.eq(channels.channel >> runs.levels),
            cursor.last.eq(Mux(scans, last, turn)),
            cursor.looping.eq(scans),
            cursor.falling.eq(runs.plan.falling),
            runs.begin.eq(self.began),
            runs.stop.eq(self.stop),
            runs.lane.eq(self.lane),
            runs.round.eq(Mux(scans, self.prior, 0)),
        ]
        self._choose(m, cursor, channels, runs)
        return m

    def _forms(self, m: Module) -> tuple[Value, Value, Value]:
        """Whether the head has products, a softmax, and distributions."""
        head = self.descriptor
        product = named(m, has_score(head, Score.PRODUCT) if self.product else Const(0), "product")
        softmax = named(m, has_score(head, Score.SOFTMAX) if self.softmax else Const(0), "softmax")
        return product, softmax, named(m, has_form(head, "distribution") if self.bins else Const(0), "bins")

    def _sides(self, m: Module, channels: Channels, seeks: Value, runs: ByteRuns) -> Value:
        """Go from side to side of distributions, in the order 0, 2, 1, 3; returns whether the next one begins."""
        if not self.bins:
            return Const(0)
        head, side = self.descriptor, Signal(range(SIDES), reset_less=True)
        bins = named(m, (self.phase == Phase.BOX) & has_form(head, "distribution"), "bins_of_a_box")
        more = named(m, bins & runs.cut & ~seeks & ~self.seek & (side != SIDES - 1), "more")
        m.d.comb += [channels.move.eq(more), channels.amount.eq(Mux(side[0], -head.bins, head.bins << 1))]
        with m.If(self.seek):
            m.d.sync += side.eq(0)
        with m.Elif(more):
            m.d.sync += side.eq(side + 1)
        return more

    def _choose(self, m: Module, cursor: Cursor, channels: Channels, runs: ByteRuns) -> None:
        """Drive what depends on the phase."""
        head, plan = self.descriptor, runs.plan
        product, softmax, bins = self._forms(m)
        logits = named(m, (head.classes[: COUNT - 1] + Cat(softmax, Const(0, 1)))[:COUNT], "logits")
        classes = head.classes[:COUNT]
        m.d.comb += [
            self.flipped.eq(plan.flipped),
            self.step.eq(channels.step),
            cursor.base.eq(head.cls),
            cursor.pitch.eq(head.cls_plane),
            channels.step.eq(logits),
            channels.size.eq(logits),
            plan.count.eq(1),
            plan.flipped.eq(head.cls_signed),
        ]
        with m.Switch(self.phase):
            with m.Case(Phase.SCAN):
                m.d.comb += [plan.looping.eq(1), plan.rounds.eq(head.priors), plan.count.eq(classes)]
                m.d.comb += [plan.parts.eq(softmax), plan.behind.eq(head.background)]
                with m.If(product):
                    m.d.comb += [cursor.base.eq(head.objectness), cursor.pitch.eq(head.objectness_plane)]
                    m.d.comb += [channels.step.eq(1), channels.size.eq(1), plan.count.eq(1), plan.flipped.eq(0)]
            with m.Case(Phase.BEST):
                m.d.comb += plan.count.eq(classes)
            with m.Case(Phase.EACH):
                ahead = (self.label + 1)[: len(self.label)]
                m.d.comb += [plan.endless.eq(1), channels.first.eq(ahead + (softmax & ~head.background))]
            with m.Case(Phase.PEAK):
                m.d.comb += [cursor.base.eq(head.maxima), cursor.pitch.eq(head.maxima_plane)]
                m.d.comb += [channels.first.eq(self.label), channels.size.eq(1)]
            with m.Case(Phase.BOX):
                m.d.comb += [
                    cursor.base.eq(head.box),
                    cursor.pitch.eq(head.box_plane),
                    plan.flipped.eq(head.box_signed),
                ]
                m.d.comb += [channels.step.eq(SIDES), channels.size.eq(SIDES), plan.rounds.eq(SIDES - 1)]
                m.d.comb += plan.crossed.eq(1)
                with m.If(bins):
                    m.d.comb += [channels.step.eq(head.bins << 2), channels.size.eq(head.bins)]
                    m.d.comb += [plan.count.eq(head.bins), plan.rounds.eq(0), plan.crossed.eq(0), plan.falling.eq(1)]
            with m.Case(Phase.SUM):
                m.d.comb += [plan.count.eq(logits), plan.falling.eq(int(self.softmax))]
