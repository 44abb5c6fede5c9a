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


def bounds_layout() -> data.StructLayout:
    """Return the least and the greatest code of the area of a box that another one may overlap too much."""
    return data.StructLayout(dict.fromkeys(("least", "most"), CODE_WIDTH))


class BoxCodes(Component):
    """Area and codes of each box of a stream, `LATENCY` cycles later, one a cycle.

    Parameters
    ----------
    params
        The unit.
    beat
        Layout of what goes along with a box.
    """

    LATENCY = 5

    def __init__(self, params: ExactParams, beat: data.StructLayout):
        self.params = params
        coded = data.StructLayout({"beat": beat, "codes": code_layout(params), "bounds": bounds_layout()})
        super().__init__(
            inputs=In(
                stream.Signature(data.StructLayout({"beat": beat, "corners": corner_layout(params.format)})), "Boxes."
            ),
            outputs=Out(stream.Signature(coded), "The boxes with their codes."),
            measured=Out(1, "The area of a box is known, three cycles after the box came, in the order of boxes."),
            area=Out(2 * params.format.corner_width, "That area."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        source, sink, move = self.inputs, self.outputs, Signal()
        stages = range(1, self.LATENCY)
        beats = [Signal(source.p.beat.shape(), name=f"beat_{stage}", reset_less=True) for stage in stages]
        valid = [Signal(name=f"valid_{stage}") for stage in stages]
        given = Signal.like(source.p.corners, name="given", reset_less=True)  # it comes out of a memory
        coded = Signal(sink.p.shape(), name="coded", reset_less=True)
        lengths = [Signal(self.params.format.corner_width, name=f"length_{axis}", reset_less=True) for axis in "xy"]
        product, code = Signal.like(self.area, name="product", reset_less=True), Signal(CODE_WIDTH, reset_less=True)
        ends = [Signal(len(ENDS) * CODE_WIDTH, name=f"ends_{stage}", reset_less=True) for stage in stages[1:]]
        m.d.comb += [
            move.eq(~sink.valid | sink.ready),
            source.ready.eq(move),
            sink.p.eq(coded),
            self.measured.eq(move & valid[2]),
            self.area.eq(product),
        ]
        with m.If(move):
            m.d.sync += [
                Cat(*valid, sink.valid).eq(Cat(source.valid, *valid)),
                Cat(*beats, coded.beat).eq(Cat(source.p.beat, *beats)),
                given.eq(source.p.corners),
                Cat(lengths).eq(Cat((given[f"{axis}2"] - given[f"{axis}1"])[:-1] for axis in "xy")),
                product.eq(lengths[0] * lengths[1]),
                code.eq(self._area_code(product)),
                Cat(*ends).eq(Cat(self._ends(m, given), *ends[:-1])),
                Cat(coded.codes).eq(Cat(ends[-1], code)),
                Cat(coded.bounds).eq(self._bounds(code)),
            ]
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

    def _bounds(self, code: Value) -> Value:
        """Least and greatest code of an area that is near enough to another one."""
        distance, top = self.params.area_distance, (1 << CODE_WIDTH) - 1
        least = Mux(code > distance, code - distance, 0)[:CODE_WIDTH]
        return Cat(least, Mux(code < top - distance, code + distance, top)[:CODE_WIDTH])


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
            bounds=In(bounds_layout(), "Codes of areas that it may be compared with."),
            near=Out(params.slots, "Slots of the kept boxes that may overlap it too much, see `ExactParams.near`."),
            file=In(1, "File a kept box."),
            slot=In(range(params.slots), "Slot that it gets."),
            placed=Out(params.slots, "That slot as a bit, if a box is filed."),
            filed=In(code_layout(params), "Its codes."),
            clear=In(1, "Forget all boxes, and what is filed in this cycle."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        codes, bounds = self.codes, self.bounds
        for slot in range(self.params.slots):
            valid = Signal(name=f"valid_{slot}")
            held = Signal(code_layout(self.params), name=f"held_{slot}", reset_less=True)
            m.d.comb += self.placed[slot].eq(self.file & (self.slot == slot))
            with m.If(self.placed[slot]):
                m.d.sync += [valid.eq(1), held.eq(self.filed)]
            with m.If(self.clear):
                m.d.sync += valid.eq(0)
            meets = [codes[f"high_{axis}"] >= held[f"low_{axis}"] for axis in "xy"]
            meets += [held[f"high_{axis}"] >= codes[f"low_{axis}"] for axis in "xy"]
            meets += [held.area >= bounds.least, held.area <= bounds.most]
            m.d.comb += self.near[slot].eq(valid & Cat(*meets).all())
        return m
