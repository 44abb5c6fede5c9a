"""Passes over the boxes of an image: first all of them, then those that are left when the file of kept ones is full."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream

from roundel.golden.nms import ExactParams
from roundel.hw.lib import BlockFifo, Component, In, Out
from roundel.hw.nms.digit_sort import sort_stream
from roundel.hw.nms.filing import ranked_layout


def pass_layout(params: ExactParams) -> data.StructLayout:
    """Return a beat of a pass: `last` ends it; with `waits`, nothing may follow before it is settled."""
    return data.StructLayout({"box": ranked_layout(params), "empty": 1, "last": 1, "waits": 1})


class Passes(Component):
    """Sends the boxes of an image for as many passes as it takes.

    A pass keeps as many boxes as can be filed. Boxes that none of them suppresses are left, and wait in a queue; the
    next pass begins with an empty file and takes them alone. As long as the file cannot become full by boxes that are
    on their way, the next image follows without a pause.

    Parameters
    ----------
    params
        The unit.
    margin
        Boxes that may be on their way and not be filed, the one that is sent included.
    """

    def __init__(self, params: ExactParams, margin: int):
        self.params, self.margin = params, margin
        box = ranked_layout(params)
        super().__init__(
            inputs=In(sort_stream(box), "Boxes of an image, the best first."),
            outputs=Out(stream.Signature(pass_layout(params)), "Boxes of its passes."),
            count=In(range(params.slots + 1), "Boxes filed."),
            leave=In(1, "The box `left` is left for the next pass."),
            left=In(box, "That box."),
            settled=In(1, "The last box of a pass that waits is settled."),
            again=Out(1, "With `settled`: boxes are left, and another pass follows."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        source, sink = self.inputs, self.outputs
        depth = 1 << (self.params.capacity - 1).bit_length()
        m.submodules.queue = queue = BlockFifo(width=self.left.shape().size, depth=max(2, depth))
        left, todo = Signal(range(self.params.capacity + 1)), Signal(range(self.params.capacity + 1))
        holds, repeats, sent = Signal(), Signal(), Signal()
        waits = Signal()
        m.d.comb += [
            queue.inputs.valid.eq(self.leave),
            queue.inputs.payload.eq(self.left),
            waits.eq(repeats | (self.count > self.params.slots - self.margin)),
            sink.valid.eq(Mux(repeats, queue.outputs.valid, source.valid) & ~holds),
            source.ready.eq(sink.ready & ~holds & ~repeats),
            queue.outputs.ready.eq(sink.ready & ~holds & repeats),
            sink.p.box.eq(Mux(repeats, queue.outputs.payload, source.p.box.as_value())),
            sink.p.empty.eq(~repeats & source.p.empty),
            sink.p.last.eq(Mux(repeats, todo == 1, source.p.last)),
            sink.p.waits.eq(waits),
            sent.eq(sink.valid & sink.ready),
            self.again.eq(self.leave | (left != 0)),
        ]
        m.d.sync += [left.eq(Mux(self.settled, 0, left + self.leave)), todo.eq(todo - sent)]
        with m.If(sent & sink.p.last & waits):
            m.d.sync += [holds.eq(1), repeats.eq(0)]
        with m.If(self.settled):
            m.d.sync += [holds.eq(0), repeats.eq(self.again), todo.eq(left + self.leave)]
        return m
