"""The two sides of LOAD and STORE: where runs of bytes are outside, and where their words are on chip."""

from typing import Any

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring

from roundel.golden.engine import EngineParams, Opcode, Region
from roundel.hw.engine.ports import OUTER_ADDRESS, descriptor_layout, word_address
from roundel.hw.lib import Component, In, Out, Walker, select


class Runs(Component):
    """Planes, runs, and words of a run: docs/engine.md, LOAD and STORE. Both sides go at their own pace.

    The first address of either side is there two cycles after `start`, then one a cycle.

    Parameters
    ----------
    params
        The engine.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            start=In(1, "Begin, while no address is offered."),
            descriptor=In(
                descriptor_layout(Opcode.LOAD),
                "The descriptor of LOAD or STORE, which have the same fields; it stands still from `start` on.",
            ),
            bases=In(OUTER_ADDRESS, "Addresses of the regions in the outer memory.").array(len(Region)),
            outer=Out(stream.Signature(unsigned(OUTER_ADDRESS)), "Byte address of every run."),
            words=Out(stream.Signature(word_address(params)), "Address of every word."),
            outer_last=Out(1, "This address is the last of all outside."),
            words_last=Out(1, "This address is the last of all on chip."),
            run_ends=Out(1, "This word is the last of its run."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        move, shift = self.descriptor, self.params.lanes.bit_length() - 1
        bits = len(move.run_bytes) - shift + 1
        loops = {"run": len(move.runs), "plane": len(move.planes)}
        m.submodules.outside = outside = Walker(address=OUTER_ADDRESS, loops=loops)
        m.submodules.inside = inside = Walker(address=len(self.words.payload), loops={"word": bits} | loops)
        wiring.connect(m, wiring.flipped(self.outer), outside.addresses)
        wiring.connect(m, wiring.flipped(self.words), inside.addresses)
        begin, base, words = Signal(), Signal(OUTER_ADDRESS, reset_less=True), Signal(bits, reset_less=True)
        m.d.sync += [
            begin.eq(self.start),
            base.eq(select(list(self.bases), move.region) + move.offset),
            words.eq((move.run_bytes + self.params.lanes - 1) >> shift),
        ]
        m.d.comb += [
            outside.base.eq(base),
            outside.steps.run.eq(move.outer_run),
            outside.steps.plane.eq(move.outer_plane),
            inside.base.eq(move.chip),
            inside.counts.word.eq(words),
            inside.steps.word.eq(1),
            inside.steps.run.eq(move.chip_run),
            inside.steps.plane.eq(move.chip_plane),
            self.outer_last.eq(outside.last),
            self.words_last.eq(inside.last),
            self.run_ends.eq(inside.ends.word),
        ]
        for walker in (outside, inside):
            m.d.comb += [
                walker.start.eq(begin),
                walker.counts.run.eq(move.runs),
                walker.counts.plane.eq(move.planes),
            ]
        return m
