"""Looks for candidates: the boxes of a detector head whose scores pass, and the bytes that they are made of."""

from typing import Any

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import stream, wiring

from roundel.golden.engine import EngineParams, Opcode
from roundel.golden.head import Score
from roundel.hw.axi import command_layout, read_layout
from roundel.hw.engine.boxes.candidates import candidate_layout, has_score, words_layout
from roundel.hw.engine.boxes.counters import Locations
from roundel.hw.engine.boxes.judge import Judge
from roundel.hw.engine.boxes.reading import Phase, Reading
from roundel.hw.engine.boxes.tables import Tables
from roundel.hw.engine.ports import OUTER_ADDRESS, descriptor_layout, read_port
from roundel.hw.lib import Component, In, Out


class Scan(Component):
    """Candidates in the order of locations, priors and classes, each with its bytes.

    A location takes a cycle for every run of neighbouring logits of a prior in a word, and one for a prior's
    background; with products one for every prior, and `RESTART` and the words of its logits more for a prior whose
    objectness passes. A candidate takes `RESTART` cycles more, and a cycle for every prior before its own, whenever it
    reads something else: its box, or each of the four sides of a distribution; its logits; the maximum around; and what
    follows. With every class, a prior that passes takes a cycle for every class.

    Parameters
    ----------
    params
        The engine's, with `heads`.
    """

    RESTART = 1 + Reading.LATENCY
    """Cycles from the end of a phase to the first word of the next, in the first plane, of the first prior."""

    def __init__(self, params: EngineParams):
        assert params.nms is not None
        self.params, self.format = params, params.nms.format
        self.product, self.softmax = "product" in params.heads, "softmax" in params.heads
        super().__init__(
            start=In(1, "A scale begins."),
            descriptor=In(descriptor_layout(Opcode.BOXES, heads=True), "The descriptor; it stands still."),
            origin=In(OUTER_ADDRESS, "Address of the tables in the outer memory; from the cycle after `start` on."),
            memory=Out(read_port(params), "Reads words of the activation memory."),
            command=Out(stream.Signature(command_layout()), "The transfer of the tables, for the bus reader."),
            parameters=In(stream.Signature(read_layout(params.bus)), "Beats of the tables, from the bus reader."),
            words=Out(words_layout(), "The words of tables that are no costs, before the first candidate."),
            candidates=Out(
                stream.Signature(candidate_layout(self.format)), "Candidates; each waits until its box is given or not."
            ),
            bytes=Out(
                stream.Signature(8),
                "Its bytes: numbers 0, 2, 1, 3 of the box, of a distribution the greatest bin and then all from the "
                "last to the first; with a softmax the greatest logit, all from the last to the first, and its own.",
            ),
            loaded=Out(1, "For one cycle: what tables there are have been read."),
            fault=Out(1, "The stream of tables has a wrong length; held."),
            done=Out(1, "All locations were looked at, and no candidate waits; until `start`."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.tables, m.submodules.places = tables, places = Tables(self.params), Locations(self.params)
        m.submodules.reading, m.submodules.judge = reading, judge = Reading(self.params), Judge(self.params)
        wiring.connect(m, tables.command, wiring.flipped(self.command))
        wiring.connect(m, wiring.flipped(self.parameters), tables.parameters)
        wiring.connect(m, reading.memory, wiring.flipped(self.memory))
        wiring.connect(m, reading.pieces, judge.pieces)
        wiring.connect(m, judge.bytes, wiring.flipped(self.bytes))
        self.phase, self.stop, self.offers = Signal(Phase, name="phase"), Signal(name="stop"), Signal(name="offers")
        for part in (tables, places, reading, judge):
            m.d.comb += part.descriptor.eq(self.descriptor)
        for part in (reading, judge):
            m.d.comb += [part.phase.eq(self.phase), part.stop.eq(self.stop)]
        candidate = self.candidates.p
        m.d.comb += [
            *(getattr(judge, name).eq(getattr(reading, name)) for name in ("began", "lane", "step", "flipped")),
            *(candidate[name].eq(getattr(places, name)) for name in ("row", "column", "prior")),
            *(candidate[name].eq(getattr(judge, name)) for name in ("label", "score")),
            *(getattr(reading, name).eq(getattr(places, name)) for name in ("prior", "location")),
            tables.start.eq(self.start),
            tables.origin.eq(self.origin),
            tables.read.eq(judge.read),
            tables.address.eq(judge.address),
            places.start.eq(self.start),
            judge.cost.eq(tables.cost),
            judge.ends.eq(places.ends),
            reading.label.eq(judge.label),
            self.candidates.valid.eq(self.offers),
            self.words.eq(tables.words),
            self.fault.eq(tables.fault),
        ]
        self._control(m, tables, places, reading, judge)
        return m

    def _control(self, m: Module, tables: Tables, places: Locations, reading: Reading, judge: Judge) -> None:
        """From phase to phase."""
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.done.eq(~self.start)
                with m.If(self.start):
                    m.next = "load"
            with m.State("load"):
                m.d.comb += [reading.measure.eq(tables.done), self.loaded.eq(tables.done)]
                with m.If(tables.done):
                    m.next = "measure"
            with m.State("measure"), m.If(reading.there):
                m.next = "seek"
            with m.State("seek"):
                m.d.comb += reading.seek.eq(1)
                m.next = "run"
            with m.State("run"):
                self._judged(m, places, judge)
                if self.softmax:
                    over = reading.cut & reading.empty
                    with m.If(over & (self.phase == Phase.BOX) & has_score(self.descriptor, Score.SOFTMAX)):
                        self._to(m, Phase.SUM)
                    with m.If(over & (self.phase == Phase.SUM)):
                        m.next = "own"
                self._leave(m, places, judge)
            if self.softmax:
                with m.State("own"):
                    m.d.comb += judge.own.eq(1)
                    with m.If(self.bytes.ready):
                        m.next = "wait"
                    self._leave(m, places, judge)
                with m.State("wait"):
                    self._leave(m, places, judge)

    def _judged(self, m: Module, places: Locations, judge: Judge) -> None:
        """Go on where a run was judged."""
        scan, best, each, peak = (
            judge.judged & (self.phase == phase) for phase in (Phase.SCAN, Phase.BEST, Phase.EACH, Phase.PEAK)
        )
        product = has_score(self.descriptor, Score.PRODUCT) if self.product else Const(0)
        with m.If(scan & ~judge.good & ~places.last):
            m.d.comb += places.step.eq(1)
        with m.Elif(scan & judge.good & product):
            self._to(m, Phase.BEST)
        with m.Elif((scan | best) & judge.good & self.descriptor.every_class):
            self._to(m, Phase.EACH)
        with m.Elif((scan | best | each) & judge.good & self.descriptor.peaks):
            self._to(m, Phase.PEAK)
        with m.Elif((scan | best | each) & judge.good | peak & judge.same):
            self._to(m, Phase.BOX)
        with m.Elif(peak):
            self._again(m, places, judge)
        with m.Elif(scan | best | each & judge.last):
            self._skip(m, places)

    def _to(self, m: Module, phase: Phase) -> None:
        """Begin a phase."""
        m.d.comb += self.stop.eq(1)
        m.d.sync += self.phase.eq(phase)
        if phase is Phase.BOX:
            m.d.sync += self.offers.eq(1)
        m.next = "seek"

    def _skip(self, m: Module, places: Locations) -> None:
        """Go on with the next prior."""
        with m.If(places.last):
            m.d.comb += self.stop.eq(1)
            m.d.sync += self.phase.eq(Phase.SCAN)
            m.next = "idle"
        with m.Else():
            m.d.comb += places.step.eq(1)
            self._to(m, Phase.SCAN)

    def _again(self, m: Module, places: Locations, judge: Judge) -> None:
        """Go on with the next class, if every class is wanted, or the next prior."""
        with m.If(self.descriptor.every_class & ~judge.last):
            self._to(m, Phase.EACH)
        with m.Else():
            self._skip(m, places)

    def _leave(self, m: Module, places: Locations, judge: Judge) -> None:
        """Go on when the candidate has been taken."""
        with m.If(self.offers & self.candidates.ready):
            m.d.sync += self.offers.eq(0)
            self._again(m, places, judge)
