"""Writes the boxes kept of an image to the outer memory."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream

from roundel.golden.engine import RECORD, TERMINATOR, EngineParams
from roundel.golden.nms import Suppression
from roundel.hw.axi import write_layout
from roundel.hw.engine.boxes.suppress import index_width
from roundel.hw.engine.ports import OUTER_ADDRESS
from roundel.hw.lib import Component, In, Out
from roundel.hw.nms import boxes_out

RECORD_LAYOUT = data.StructLayout({item.name: item.bits for item in RECORD.items})


class BoxRecords(Component):
    """A record for every box kept, and the terminator; a beat of the bus a cycle.

    Parameters
    ----------
    params
        The engine's.
    nms
        Of its NMS unit.
    """

    def __init__(self, params: EngineParams, nms: Suppression):
        self.params = params
        super().__init__(
            start=In(1, "An image begins."),
            address=In(OUTER_ADDRESS, "Address of its records."),
            kept=In(boxes_out(nms.format, nms.lanes, index_width(params)), "Boxes kept."),
            command=Out(stream.Signature(unsigned(OUTER_ADDRESS)), "Address of the records, one command an image."),
            data=Out(stream.Signature(write_layout(params.bus)), "Beats of the records."),
            written=In(1, "For one cycle: the image's records are in the outer memory."),
            count=Out(32, "Boxes kept, so far."),
            done=Out(1, "Nothing is left to do; until `start`."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        box, beat = self.kept.p.boxes[0], self.data.p
        asked, ending, busy = Signal(), Signal(), Signal()  # ending: the terminator is next
        record = Signal(RECORD_LAYOUT)
        with m.If(ending):
            m.d.comb += [record.label.eq(TERMINATOR), record.index.eq(self.count)]
        with m.Else():
            m.d.comb += [record[name].eq(box[name]) for name in RECORD.names]

        present = ~asked & ((self.kept.valid & ~box.empty) | ending)
        last = self._beats(m, record, present)
        gone = Signal()
        m.d.comb += [
            gone.eq(self.data.valid & self.data.ready & last),
            self.kept.ready.eq(~ending & (gone | box.empty)),
            beat.last.eq(ending & last),
            beat.strb.eq(~Const(0, len(beat.strb))),
            self.command.valid.eq(asked),
            self.command.payload.eq(self.address),
            self.done.eq(~busy),
        ]
        with m.If(self.command.ready):
            m.d.sync += asked.eq(0)
        with m.If(gone):
            m.d.sync += [ending.eq(0), self.count.eq(self.count + ~ending)]
        with m.If(self.kept.valid & self.kept.ready & self.kept.p.last):
            m.d.sync += ending.eq(1)
        with m.If(self.written):
            m.d.sync += busy.eq(0)
        with m.If(self.start):
            m.d.sync += [asked.eq(1), busy.eq(1), self.count.eq(0)]
        return m

    def _beats(self, m: Module, record: data.View, present: Value) -> Value:
        """Cut a record to beats; returns whether this is its last."""
        bus, size = self.params.bus, len(record.as_value())
        m.d.comb += self.data.valid.eq(present)
        if bus == size:
            m.d.comb += self.data.p.data.eq(record)
            return Const(1)
        upper = Signal()
        with m.If(self.data.valid & self.data.ready):
            m.d.sync += upper.eq(~upper)
        m.d.comb += self.data.p.data.eq(Mux(upper, record.as_value()[bus:], record.as_value()[:bus]))
        return upper
