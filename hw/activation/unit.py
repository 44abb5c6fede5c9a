"""The activation unit: tables and beats of words in, beats of bytes out, as many lanes as wanted."""

from typing import Any

from amaranth.hdl import Cat, Module, Shape, Signal, Value, signed
from amaranth.lib import data, stream

from roundel.golden.activation import CONTROL, ActivationParams
from roundel.hw.activation.lane import ActivationLane
from roundel.hw.lib import Component, In, Out, named, select


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
        self.turns = params.columns // params.lanes
        self.latency = self.turns + params.pipeline
        columns = params.columns
        payload: dict[str, Any] = {"words": data.ArrayLayout(signed(params.in_width), columns)}
        if params.residual:
            payload["residuals"] = data.ArrayLayout(signed(params.RESIDUAL_WIDTH), columns)
        if params.slopes:
            payload["slopes"] = data.ArrayLayout(Shape(params.slope_width), columns)
        frame = {"first": 1, "last": 1}
        super().__init__(
            tables=In(
                stream.Signature(Shape(params.entry_width)),
                "Entries of a layer's table: the control word, then the knots from the first segment on, "
                "two's complement.",
            ),
            inputs=In(
                stream.Signature(data.StructLayout(payload | frame)),
                "Beats of `columns` words, with the residual and the slope of each where the unit has such. `first` "
                "passes through; `last` does, too, and ends the layer.",
            ),
            outputs=Out(
                stream.Signature(data.StructLayout({"bytes": data.ArrayLayout(params.OUT_WIDTH, columns)} | frame)),
                "Results, signed or not as the table says.",
            ),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        source, sink, turns = self.inputs, self.outputs, self.turns
        running, busy = Signal(), Signal()
        advance = named(m, sink.ready | ~sink.valid, "advance")
        control, knots = self._table(m, running, busy)

        turn = Signal(range(max(2, turns)))
        is_last_turn = named(m, turn == turns - 1, "is_last_turn")
        taken = named(m, advance & running & source.valid, "taken")
        m.d.comb += source.ready.eq(advance & running & is_last_turn)
        with m.If(taken):
            m.d.sync += turn.eq(0 if turns == 1 else turn + 1)
            with m.If(is_last_turn):
                m.d.sync += [turn.eq(0), running.eq(~source.p.last)]

        results = self._lanes(m, turn, control, knots, advance)
        valid, place, frame = taken, turn, Cat(source.p.first, source.p.last)
        if self.params.pipeline:
            valid, place, frame = (
                Signal.like(Value.cast(value), name=f"{name}_1")
                for value, name in ((valid, "valid"), (place, "turn"), (frame, "frame"))
            )
            with m.If(advance):
                m.d.sync += [valid.eq(taken), place.eq(turn), frame.eq(Cat(source.p.first, source.p.last))]
            m.d.comb += busy.eq(valid)

        out = Signal(sink.payload.shape(), reset_less=True)
        with m.If(advance):
            m.d.sync += sink.valid.eq(valid & (place == turns - 1))
            m.d.sync += Cat(out.first, out.last).eq(frame)
            for number in range(turns):
                with m.If(place == number):
                    lanes = len(results)
                    m.d.sync += [out.bytes[number * lanes + lane].eq(byte) for lane, byte in enumerate(results)]
        m.d.comb += sink.payload.eq(out)
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

    def _lanes(self, m: Module, turn: Value, control: Any, knots: list[Signal], advance: Value) -> list[Value]:
        """Return the results of the lanes, which work on the columns of one turn."""
        params, payload = self.params, self.inputs.payload
        results = []
        for number in range(params.lanes):
            m.submodules[f"lane_{number}"] = lane = ActivationLane(params)
            m.d.comb += [
                lane.control.eq(control),
                *(port.eq(knot) for port, knot in zip(lane.knots, knots, strict=True)),
            ]
            members = {"words": "word", "residuals": "residual", "slopes": "slope"}
            for name, port in members.items():
                if hasattr(lane, port):
                    field = payload[name].as_value()
                    width = len(getattr(lane, port))
                    columns = [field[start * width :][:width] for start in range(number, params.columns, params.lanes)]
                    m.d.comb += getattr(lane, port).eq(select(columns, turn))
            if params.pipeline:
                m.d.comb += lane.en.eq(advance)
            results.append(lane.result)
        return results
