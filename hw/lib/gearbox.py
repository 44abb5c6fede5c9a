"""Bytes in beats of one size to bytes in beats of another."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream

from roundel.hw.lib.arith import named
from roundel.hw.lib.ports import Component, In, Out


def bytes_layout(count: int) -> data.StructLayout:
    """Return some bytes: `keep` has ones for those that are there, from the lowest on; `last` ends a run of them."""
    return data.StructLayout({"data": 8 * count, "keep": count, "last": 1})


class Gearbox(Component):
    """Gathers small beats or splits large ones; a run begins with a beat and ends with one, which may not be full.

    A beat goes in or comes out in every cycle, whichever are more, also from run to run. What goes in comes out, or
    begins to, in the next cycle. Bytes that are not there come out as zeros.

    Parameters
    ----------
    source, target
        Bytes of a beat on both sides, powers of two.
    """

    def __init__(self, *, source: int, target: int):
        self.source, self.target = source, target
        super().__init__(
            inputs=In(
                stream.Signature(bytes_layout(source)),
                "Beats with at least one byte; only the last of a run has fewer than all.",
            ),
            outputs=Out(
                stream.Signature(bytes_layout(target)),
                "Beats of the other size; again, only the last of a run has fewer bytes than all.",
            ),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        mask = Cat(bit.replicate(8) for bit in self.inputs.p.keep)
        there = named(m, self.inputs.p.data & mask, "there")
        if self.source > self.target:
            self._split(m, there)
        else:
            self._gather(m, there)
        return m

    def _gather(self, m: Module, there: Signal) -> None:
        """Fill a register of the size of an output piece by piece."""
        pieces, inputs, outputs = self.target // self.source, self.inputs, self.outputs
        piece = Signal(range(max(2, pieces)))
        m.d.comb += inputs.ready.eq(~outputs.valid | outputs.ready)
        taken = named(m, inputs.valid & inputs.ready, "taken")
        ends = named(m, inputs.p.last | (piece == pieces - 1), "ends")
        with m.If(inputs.ready):
            m.d.sync += outputs.valid.eq(taken & ends)
        with m.If(taken):
            m.d.sync += [piece.eq(Mux(ends, 0, piece + 1)), outputs.p.last.eq(inputs.p.last)]
        for place in range(pieces):
            content = outputs.p.data.word_select(place, 8 * self.source)
            keep = outputs.p.keep.word_select(place, self.source)
            with m.If(taken & (piece == place)):
                m.d.sync += [content.eq(there), keep.eq(inputs.p.keep)]
            with m.Elif(taken & (piece == 0)):
                m.d.sync += [content.eq(0), keep.eq(0)]

    def _split(self, m: Module, there: Signal) -> None:
        """Shift a register of the size of an input piece by piece."""
        inputs, outputs = self.inputs, self.outputs
        held = Signal(bytes_layout(self.source), reset_less=True)
        following = held.keep[self.target :]
        ends = named(m, ~following.any(), "ends")
        m.d.comb += [
            inputs.ready.eq(~outputs.valid | (outputs.ready & ends)),
            outputs.p.data.eq(held.data),
            outputs.p.keep.eq(held.keep),
            outputs.p.last.eq(held.last & ends),
        ]
        with m.If(inputs.ready):
            m.d.sync += [
                outputs.valid.eq(inputs.valid),
                held.data.eq(there),
                held.keep.eq(inputs.p.keep),
                held.last.eq(inputs.p.last),
            ]
        with m.Elif(outputs.ready):
            m.d.sync += [held.data.eq(held.data[8 * self.target :]), held.keep.eq(following)]
