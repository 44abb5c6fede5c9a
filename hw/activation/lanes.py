"""Lanes of the activation unit side by side: beats of words in, beats of bytes out, `lanes` columns a cycle."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data, stream

from roundel.golden.activation import CONTROL, ActivationParams
from roundel.hw.activation.lane import ActivationLane
from roundel.hw.lib import Component, In, Out, named, select

_FRAME = {"first": 1, "last": 1}


def words_layout(params: ActivationParams) -> data.StructLayout:
    """Return a beat of words, with a residual and a slope for each where the unit has such, `first` and `last`.

    Column 0 is in the lowest bits of each. They are no arrays, see `roundel.hw.activation.lane.lane_ports`.
    """
    widths = {"words": params.in_width}
    if params.residual:
        widths["residuals"] = params.RESIDUAL_WIDTH
    if params.slopes:
        widths["slopes"] = params.slope_width
    return data.StructLayout({name: params.columns * width for name, width in widths.items()} | _FRAME)


def bytes_layout(params: ActivationParams) -> data.StructLayout:
    """Return a beat of results, signed or not as the table says, column 0 lowest, `first` and `last`."""
    return data.StructLayout({"bytes": params.OUT_WIDTH * params.columns} | _FRAME)


class ActivationLanes(Component):
    """Takes a beat every `columns / lanes` cycles, under any stalls, and gives its results `latency` cycles after.

    `ready` depends on that of the results. The table stands still from a beat to its results.

    Parameters
    ----------
    params
        The unit's, see `ActivationParams`.

    Attributes
    ----------
    latency
        Cycles from when a beat first stands there to its results.
    """

    def __init__(self, params: ActivationParams):
        self.params = params
        self.turns = params.columns // params.lanes
        self.latency = self.turns + params.pipeline
        super().__init__(
            control=In(data.StructLayout(dict(CONTROL)), "The control word of the layer's table."),
            knots=In(params.knot_width * (params.segments + 1), "The knots of the table, the first one lowest."),
            inputs=In(stream.Signature(words_layout(params)), "Words, with what goes with them."),
            outputs=Out(stream.Signature(bytes_layout(params)), "Results."),
            busy=Out(1, "A beat is between its last turn and `outputs`."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        source, sink, turns = self.inputs, self.outputs, self.turns
        advance = named(m, sink.ready | ~sink.valid, "advance")
        # Both tell the turn: each alone would have all multiplexers as its load.
        turn, left = Signal(range(max(2, turns))), Signal(range(max(2, turns)), init=turns - 1)
        is_last_turn = named(m, left == 0, "is_last_turn")
        taken = named(m, advance & source.valid, "taken")
        m.d.comb += source.ready.eq(advance & is_last_turn)
        with m.If(taken):
            m.d.sync += [turn.eq(0 if turns == 1 else turn + 1), left.eq(0 if turns == 1 else left - 1)]
            with m.If(is_last_turn):
                m.d.sync += [turn.eq(0), left.eq(turns - 1)]
        results = self._lanes(m, turn, left, advance)
        valid, place, frame = taken, turn, Cat(source.p.first, source.p.last)
        if self.params.pipeline:
            values = (valid, "valid"), (place, "turn"), (frame, "frame")
            valid, place, frame = (Signal.like(Value.cast(value), name=f"{name}_1") for value, name in values)
            with m.If(advance):
                m.d.sync += [valid.eq(taken), place.eq(turn), frame.eq(Cat(source.p.first, source.p.last))]
            m.d.comb += self.busy.eq(valid)
        with m.If(advance):
            m.d.sync += sink.valid.eq(valid & (place == turns - 1))
        self._gather(m, results, place, frame, advance)
        return m

    def _lanes(self, m: Module, turn: Value, left: Value, advance: Value) -> list[Value]:
        """Return the results of the lanes, which work on the columns of one turn; `left`: how many come after it."""
        params, payload = self.params, self.inputs.payload
        results = []
        for number in range(params.lanes):
            m.submodules[f"lane_{number}"] = lane = ActivationLane(params)
            m.d.comb += [lane.control.eq(self.control), lane.knots.eq(self.knots)]
            for name, port in {"words": "word", "residuals": "residual", "slopes": "slope"}.items():
                if hasattr(lane, port):
                    width = len(getattr(lane, port))
                    turns = range(number, params.columns, params.lanes)
                    columns = [payload[name].word_select(column, width) for column in turns]
                    chosen = select(columns, turn) if port == "word" else select(columns[::-1], left)
                    m.d.comb += getattr(lane, port).eq(chosen)
            if params.pipeline:
                m.d.comb += lane.en.eq(advance)
            results.append(lane.result)
        return results

    def _gather(self, m: Module, results: list[Value], place: Value, frame: Value, advance: Value) -> None:
        """Put the results of each turn in their places of the beat."""
        out = Signal(self.outputs.payload.shape(), reset_less=True)
        with m.If(advance):
            m.d.sync += Cat(out.first, out.last).eq(frame)
            for number in range(self.turns):
                with m.If(place == number):
                    columns = range(number * len(results), (number + 1) * len(results))
                    places = [out.bytes.word_select(column, len(results[0])) for column in columns]
                    m.d.sync += [place.eq(byte) for place, byte in zip(places, results, strict=True)]
        m.d.comb += self.outputs.payload.eq(out)
