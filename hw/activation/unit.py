"""The activation unit: tables and beats of words in, beats of bytes out, as many lanes as wanted."""

from typing import Any

from amaranth.hdl import Cat, Module, Shape, Signal, Value, signed
from amaranth.lib import data, stream, wiring

from roundel.golden.activation import CONTROL, ActivationParams
from roundel.hw.activation.lanes import ActivationLanes, bytes_layout, words_layout
from roundel.hw.lib import Component, In, Out, named


class Activation(Component):
    """A function of one value of each word, a residual behind it, rounded once; the layer's table says which function.

    A layer is a table, then its beats; `last` ends it. Entries of a table are taken one a cycle while no layer runs.
    Beats are taken every `columns / lanes` cycles, under any stalls; results of a beat come `latency` cycles after it
    first stood there.

    Parameters
    ----------
    params
        The unit's, see `ActivationParams`.
    """

    def __init__(self, params: ActivationParams):
        self.params = params
        self.lanes = ActivationLanes(params)
        self.latency = self.lanes.latency
        super().__init__(
            tables=In(
                stream.Signature(Shape(params.entry_width)),
                "Entries of a layer's table: the control word, then the knots from the first segment on, "
                "two's complement.",
            ),
            inputs=In(
                stream.Signature(words_layout(params)),
                "Beats of `columns` words, with the residual and the slope of each where the unit has such. `first` "
                "passes through; `last` does, too, and ends the layer.",
            ),
            outputs=Out(stream.Signature(bytes_layout(params)), "Results, signed or not as the table says."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.lanes = lanes = self.lanes
        running = Signal()
        control, knots = self._table(m, running, lanes.busy)
        beats = self.inputs
        m.d.comb += [
            lanes.control.eq(control),
            lanes.knots.eq(Cat(*knots)),
            lanes.inputs.valid.eq(beats.valid & running),
            lanes.inputs.p.eq(beats.p),
            beats.ready.eq(lanes.inputs.ready & running),
        ]
        with m.If(named(m, beats.valid & beats.ready, "taken")):
            m.d.sync += running.eq(~beats.p.last)
        wiring.connect(m, lanes.outputs, wiring.flipped(self.outputs))
        return m

    def _table(self, m: Module, running: Signal, busy: Value) -> tuple[Any, Any]:
        """Return the control word and the knots of the layer; the knots move on by one with each entry."""
        params, source = self.params, self.tables
        control = Signal(data.StructLayout(dict(CONTROL)), reset_less=True)
        knots = [
            Signal(signed(params.knot_width), name=f"knot_{number}", reset_less=True)
            for number in range(params.segments + 1)
        ]
        count = Signal(range(params.entries))
        m.d.comb += source.ready.eq(~running & ~busy)
        with m.If(source.valid & source.ready):
            m.d.sync += count.eq(count + 1)
            with m.If(count == 0):
                m.d.sync += control.as_value().eq(source.payload)
            with m.Else():
                m.d.sync += Cat(*knots).eq(Cat(*knots[1:], source.payload[: params.knot_width]))
            with m.If(count == params.entries - 1):
                m.d.sync += [count.eq(0), running.eq(1)]
        return control, knots
