"""Whether a prior of a detector head has a candidate, of which class, and with which score."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream

from roundel.golden.engine import EngineParams, Opcode
from roundel.golden.head import COST_WIDTH, Score
from roundel.hw.engine.boxes.best import logit_of, score_of
from roundel.hw.engine.boxes.candidates import has_score
from roundel.hw.engine.boxes.reading import Phase
from roundel.hw.engine.boxes.runs import COUNT, piece_layout
from roundel.hw.engine.boxes.tables import BYTES
from roundel.hw.engine.ports import descriptor_layout
from roundel.hw.lib import Component, In, Out, named, unreset


class Judge(Component):
    """Keeps the greatest byte of the pieces of a run, and judges it in the cycle after its last piece.

    Parameters
    ----------
    params
        The engine's, with `heads`.
    """

    def __init__(self, params: EngineParams):
        assert params.nms is not None
        self.params, self.score_width = params, params.nms.format.score_width
        self.product, self.softmax = "product" in params.heads, "softmax" in params.heads
        super().__init__(
            descriptor=In(descriptor_layout(Opcode.BOXES, heads=True), "The descriptor of the scale."),
            phase=In(Phase, "What the pieces are."),
            stop=In(1, "No piece counts that is on its way; what was judged last stays as it is."),
            began=In(1, "A phase begins at `lane`."),
            lane=In(range(params.lanes), "Beside `began`."),
            step=In(COUNT, "Channels of a prior."),
            ends=In(1, "The prior that is being judged is the last of its location."),
            flipped=In(1, "The upper bits of ranks are other ones than in the memory."),
            pieces=In(stream.Signature(piece_layout(params.lanes)), "The pieces."),
            own=In(1, "The next byte is the candidate's own logit."),
            bytes=Out(stream.Signature(8), "The greatest byte of each run of BOX and SUM, or the candidate's own."),
            read=Out(1, "A cost is wanted."),
            address=Out(range(2 * BYTES), "Which."),
            cost=In(COST_WIDTH, "The cost that was wanted last, one cycle later."),
            judged=Out(1, "For one cycle: `good` and `same` are those of the run before."),
            good=Out(1, "The run's greatest byte passes."),
            same=Out(1, "It is the class's own logit."),
            label=Out(8, "Class of the candidate, or of the byte that was judged last."),
            last=Out(1, "There is no class behind."),
            score=Out(self.score_width, "Score of the candidate; of a softmax a don't-care."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        head, piece = self.descriptor, self.pieces.p
        gives = named(m, (self.phase == Phase.BOX) | (self.phase == Phase.SUM), "gives")
        taken = named(m, self.pieces.valid & self.pieces.ready & ~self.stop, "taken")
        held, rank = Signal(8, reset_less=True), Signal(8, reset_less=True)
        wins = named(m, piece.first | (piece.rank > held), "wins")
        best = named(m, Mux(wins, piece.rank, held), "best")
        with m.If(taken & ~piece.ground):
            m.d.sync += held.eq(best)
        with m.If(self.judged & self.good):
            m.d.sync += rank.eq(held)
        m.d.sync += self.judged.eq(taken & piece.last & ~gives)
        out = Mux(self.own, rank, best)
        m.d.comb += [
            self.bytes.valid.eq(gives & self.pieces.valid & piece.last | self.own),
            self.bytes.payload.eq(Cat(out[:7], out[7] ^ self.flipped)),
            self.pieces.ready.eq(~self.own & (~gives | ~piece.last | self.bytes.ready)),
            self.same.eq(held == rank),
        ]
        self._label(m, taken, wins)
        costs = self._costs(m, taken & piece.last & ~gives, best)
        meets = named(m, self._meets(m, held, taken & piece.ground), "meets")
        score = score_of(logit_of(rank, head), head, self.score_width)
        m.d.comb += [self.good.eq(meets), self.score.eq(score)]
        if self.product:
            passes, cost = costs
            with m.If(has_score(head, Score.PRODUCT)):
                m.d.comb += self.good.eq(passes & ((self.phase == Phase.SCAN) | meets))
                m.d.comb += self.score.eq(~cost)
        return m

    def _label(self, m: Module, taken: Value, wins: Value) -> None:
        """Keep the class of the greatest byte: its place from the first word of the run on, less where that begins."""
        head, piece, label = self.descriptor, self.pieces.p, unreset(m, self.label, "label_now")
        number, start = Signal(8, reset_less=True), Signal.like(self.lane, name="start", reset_less=True)
        place = named(m, Mux(piece.first, 0, number), "place")
        scans, each = self.phase == Phase.SCAN, self.phase == Phase.EACH
        m.d.comb += self.last.eq((label + 1)[: len(label)] == head.classes[: len(label)])
        with m.If(taken & ~piece.ground):
            m.d.sync += number.eq(place + 1)
            with m.If(each):
                m.d.sync += label.eq(label + 1)
            with m.Elif(wins & (scans | (self.phase == Phase.BEST))):
                m.d.sync += label.eq(Cat(piece.lane, place))
        with m.If(self.began):
            m.d.sync += start.eq(self.lane)
        with m.Elif(self.judged & scans):
            m.d.sync += start.eq(Mux(self.ends, 0, start + self.step))
        behind = has_score(head, Score.SOFTMAX) & ~head.background if self.softmax else Const(0)
        with m.If(self.judged & self.good & (scans | (self.phase == Phase.BEST))):
            m.d.sync += label.eq(Mux(head.every_class, ~0, label - (start + behind)[: len(start)]))

    def _meets(self, m: Module, held: Value, ground_taken: Value) -> Value:
        """Whether a byte is as far as the threshold above the background, or above 0."""
        head, logit = self.descriptor, logit_of(held, self.descriptor)
        if not self.softmax:
            return logit >= head.threshold
        ground = Signal(8, name="ground", reset_less=True)
        with m.If(ground_taken):
            m.d.sync += ground.eq(self.pieces.p.rank)
        return logit - Mux(has_score(head, Score.SOFTMAX), logit_of(ground, head), 0) >= head.threshold

    def _costs(self, m: Module, wanted: Value, best: Value) -> tuple[Value, Value]:
        """Ask for costs; returns whether the one that was asked for passes, and the candidate's."""
        if not self.product:
            return Const(0), Const(0)
        scans, objectness = self.phase == Phase.SCAN, Signal(COST_WIDTH, reset_less=True)
        m.d.comb += [
            self.read.eq(wanted & (self.phase != Phase.PEAK)),
            self.address.eq(Cat(best[:7], best[7] ^ self.flipped, scans)),
        ]
        with m.If(self.judged & scans):
            m.d.sync += objectness.eq(self.cost)
        cost = named(m, self.cost + (objectness & ~scans.replicate(COST_WIDTH)), "cost_so_far")
        return named(m, cost <= self.descriptor.most, "passes"), cost
