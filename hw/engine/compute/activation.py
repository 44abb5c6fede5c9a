"""The activation unit in the engine: words of the array wait in a FIFO for its lanes, residuals join them there."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream

from roundel.golden.activation import CONTROL
from roundel.golden.engine import EngineParams
from roundel.hw.activation import ActivationLanes
from roundel.hw.engine.ports import TABLE_ROWS, result_layout, table_layout, word
from roundel.hw.lib import BlockFifo, Component, In, Out, named


def activation_layout() -> data.StructLayout:
    """Return what the unit is told of a layer; it stands still from the layer's start to its last result."""
    return data.StructLayout(dict.fromkeys(("activation", "has_residual", "flip_residual", "flip_target"), 1))


class EngineActivation(Component):
    """Results of the array to bytes, in layers with `activation`; docs/engine.md says it exactly.

    A layer's table is taken after `start`, a row of 8 bytes a cycle. A word that comes can be worked on two cycles
    later, and takes `columns / act_lanes` cycles there; `latency` cycles after its first one it is offered. The first
    word of an output block takes a cycle more, in which the block's slopes are taken: then the array may have others.
    With a residual a word waits for it.

    Parameters
    ----------
    params
        The engine's, which has `act_lanes`.

    Attributes
    ----------
    latency
        Cycles from when a word comes to its result, if nothing else is on its way; one more for the first word of an
        output block.
    """

    def __init__(self, params: EngineParams):
        assert params.activation is not None
        self.params, self.unit = params, params.activation
        self.lanes = ActivationLanes(self.unit)
        self.latency = 2 + self.lanes.latency
        super().__init__(
            start=In(1, "A layer begins; there is nothing left of the one before."),
            layer=In(activation_layout(), "The layer."),
            table=In(stream.Signature(table_layout(params)), "The table of a layer with `activation`, in rows."),
            words=In(stream.Signature(result_layout(params)), "Words of the array."),
            slopes=In(self.unit.slope_width * params.columns, "Of the output block at work, column 0 lowest."),
            slopes_taken=Out(1, "`slopes` may change with the coming clock edge."),
            residuals=In(
                stream.Signature(word(params)), "A word of signed bytes for each word, with `flip_residual` less 128."
            ),
            results=Out(stream.Signature(word(params)), "Bytes."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.lanes = lanes = self.lanes
        m.submodules.fifo = fifo = BlockFifo(width=len(self.words.p.as_value()), depth=self.params.act_fifo)
        head, beat = data.View(self.words.p.shape(), fifo.outputs.payload), lanes.inputs
        m.d.comb += [
            fifo.inputs.valid.eq(self.words.valid),
            fifo.inputs.payload.eq(self.words.p),
            self.words.ready.eq(fifo.inputs.ready),
        ]
        loading = self._table(m)
        owned = self._slopes(m, fifo.outputs.valid & head.fresh)
        there = ~self.layer.has_residual | self.residuals.valid
        go = named(m, ~loading & there & (~head.fresh | owned), "go")
        m.d.comb += [
            beat.valid.eq(fifo.outputs.valid & go),
            beat.p.words.eq(head.words),
            beat.p.residuals.eq(self._residuals()),
            fifo.outputs.ready.eq(beat.ready & go),
            self.residuals.ready.eq(beat.valid & beat.ready & self.layer.has_residual),
            self.results.valid.eq(lanes.outputs.valid),
            self.results.payload.eq(lanes.outputs.p.bytes),
            lanes.outputs.ready.eq(self.results.ready),
        ]
        with m.If(beat.valid & beat.ready):
            m.d.sync += owned.eq(0)
        return m

    def _table(self, m: Module) -> Signal:
        """Keep a layer's table, and tell whether it is still to come."""
        loading, row = Signal(), Signal(range(TABLE_ROWS))
        control = Signal(data.StructLayout(dict(CONTROL)), reset_less=True)
        knots = Signal(self.lanes.knots.shape(), reset_less=True)
        places = range(self.unit.segments + 1)
        entries = [control.as_value(), *(knots.word_select(place, self.unit.knot_width) for place in places)]
        given = [self.table.p[name] for name in self.table.p.shape().members]
        m.d.comb += [
            self.table.ready.eq(loading),
            self.lanes.knots.eq(knots),
            self.lanes.control.eq(control),
            self.lanes.control.unsigned.eq(control.unsigned ^ self.layer.flip_target),  # both turn the top bit
        ]
        with m.If(self.start):
            m.d.sync += loading.eq(self.layer.activation)
        with m.If(loading & self.table.valid):
            m.d.sync += row.eq(row + 1)
            for number in range(TABLE_ROWS):
                taken = entries[number * len(given) :][: len(given)]
                with m.If(row == number):
                    m.d.sync += [entry.eq(value) for entry, value in zip(taken, given, strict=False)]
            with m.If(row == TABLE_ROWS - 1):
                m.d.sync += [row.eq(0), loading.eq(0)]
        return loading

    def _slopes(self, m: Module, fresh: Value) -> Signal:
        """Take the slopes of an output block when its first word has come, and tell whether that is done."""
        slopes, owned = Signal(self.slopes.shape(), reset_less=True), Signal()
        m.d.comb += [self.slopes_taken.eq(fresh & ~owned), self.lanes.inputs.p.slopes.eq(slopes)]
        with m.If(self.slopes_taken):
            m.d.sync += [slopes.eq(self.slopes), owned.eq(1)]
        return owned

    def _residuals(self) -> Value:
        """Return the residual of each column: a signed byte, or an unsigned one, 128 more than what comes."""
        layer, bits = self.layer, list[Value]()
        for column in range(self.params.columns):
            byte = self.residuals.payload.word_select(column, 8)
            residual = Cat(byte[:7], byte[7] ^ layer.flip_residual, byte[7] & ~layer.flip_residual)
            bits.append(residual & layer.has_residual.replicate(len(residual)))
        return Cat(bits)
