"""Codes of boxes, and the file of kept boxes that names those which a box has to be compared with."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream

from roundel.golden.nms import AREA_FRACTION, CODE_WIDTH, ExactParams, TopKParams
from roundel.hw.lib import Component, In, Out, first_set, multiple, named
from roundel.hw.nms.streams import corner_layout

ENDS = ("low_x", "high_x", "low_y", "high_y")


def ranked_layout(params: ExactParams | TopKParams) -> data.StructLayout:
    """Return a box on its way through sorting and suppression."""
    form = params.format
    widths = {"label": form.label_width, "score": form.score_width, "index": params.index_width}
    return data.StructLayout({"corners": corner_layout(form)} | widths)


def code_layout(params: ExactParams) -> data.StructLayout:
    """Return the codes of a box, see `ExactParams.codes`."""
    return data.StructLayout(dict.fromkeys(ENDS, CODE_WIDTH) | {"area": CODE_WIDTH})


class BoxCodes(Component):
    """Area and codes of each box of a stream, `LATENCY` cycles later, one a cycle.

    Parameters
    ----------
    params
        The unit.
    beat
        Layout of a beat; its member `box` has `corners`.
    """

    LATENCY = 2

    def __init__(self, params: ExactParams, beat: data.StructLayout):
        self.params = params
        coded = {"beat": beat, "area": 2 * params.format.corner_width, "codes": code_layout(params)}
        super().__init__(
            inputs=In(stream.Signature(beat), "Boxes."),
            outputs=Out(stream.Signature(data.StructLayout(coded)), "The boxes with their areas and codes."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        source, sink = self.inputs, self.outputs
        corners, move = source.p.box.corners, Signal()
        beat, valid = Signal(source.p.shape(), name="held", reset_less=True), Signal(name="holds")
        sides = [Signal(self.params.format.corner_width, name=f"side_{axis}", reset_less=True) for axis in "xy"]
        ends = Signal(len(ENDS) * CODE_WIDTH, reset_less=True)
        coded, area = Signal.like(ends, name="coded"), Signal.like(sink.p.area, name="product")
        m.d.comb += [
            move.eq(~sink.valid | sink.ready),
            source.ready.eq(move),
            Cat(sink.p.area, sink.p.codes).eq(Cat(area, coded, self._area_code(area))),
        ]
        with m.If(move):
            m.d.sync += [Cat(valid, sink.valid).eq(Cat(source.valid, valid)), beat.eq(source.p), sink.p.beat.eq(beat)]
            m.d.sync += [
                side.eq(corners[f"{axis}2"] - corners[f"{axis}1"]) for side, axis in zip(sides, "xy", strict=True)
            ]
            m.d.sync += [ends.eq(self._ends(m, corners)), coded.eq(ends), area.eq(sides[0] * sides[1])]
        return m

    def _ends(self, m: Module, corners: data.View) -> Value:
        """Codes of both ends of the box along both axes."""
        p, q, shift = self.params.code_weights
        codes = []
        for axis in "xy":
            low, high = corners[f"{axis}1"], corners[f"{axis}2"]
            for name, one, other in (("low", low, high), ("high", high, low)):
                whole = named(m, multiple(one, q) + multiple(other, p), f"{name}_{axis}")
                code = whole[shift:]
                codes.append(Cat(code, *[0] * CODE_WIDTH)[:CODE_WIDTH])
        return Cat(codes)

    def _area_code(self, area: Value) -> Value:
        exponent, _ = first_set(area, highest=True)
        code, least = (
            Cat((area << AREA_FRACTION).bit_select(exponent, AREA_FRACTION), exponent),
            self.params.least_area_code,
        )
        return Mux(code > least, code - least, 0)[:CODE_WIDTH]


class KeptFile(Component):
    """The codes of the boxes kept, in registers: names all that a box has to be compared with, in the same cycle.

    Parameters
    ----------
    params
        The unit.
    """

    def __init__(self, params: ExactParams):
        self.params = params
        super().__init__(
            codes=In(code_layout(params), "Codes of a box."),
            near=Out(params.slots, "Slots of the kept boxes that may overlap it too much, see `ExactParams.near`."),
            file=In(1, "File a kept box."),
            slot=In(range(params.slots), "Slot that it gets."),
            filed=In(code_layout(params), "Its codes."),
            clear=In(1, "Forget all boxes, and what is filed in this cycle."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        codes, width = self.codes, CODE_WIDTH
        least, most = Signal(width), Signal(width + 1)
        distance = self.params.area_distance
        m.d.comb += [
            least.eq(Mux(codes.area > distance, codes.area - distance, 0)),
            most.eq(codes.area + min(distance, (1 << width) - 1)),
        ]
        for slot in range(self.params.slots):
            valid = Signal(name=f"valid_{slot}")
            held = Signal(code_layout(self.params), name=f"held_{slot}", reset_less=True)
            with m.If(self.file & (self.slot == slot)):
                m.d.sync += [valid.eq(1), held.eq(self.filed)]
            with m.If(self.clear):
                m.d.sync += valid.eq(0)
            meets = [codes[f"high_{axis}"] >= held[f"low_{axis}"] for axis in "xy"]
            meets += [held[f"high_{axis}"] >= codes[f"low_{axis}"] for axis in "xy"]
            meets += [held.area >= least, held.area <= most]
            m.d.comb += self.near[slot].eq(valid & Cat(*meets).all())
        return m
