"""GreedyNMS at a box a cycle: boxes are sorted by lists, and compared only with kept boxes that lie near."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring

from roundel.golden.nms import ExactParams, Form
from roundel.hw.lib import Component, In, Out
from roundel.hw.nms.digit_sort import DigitSort
from roundel.hw.nms.filing import ranked_layout
from roundel.hw.nms.settle import Settle
from roundel.hw.nms.streams import BoxCheck, boxes_in, boxes_out, error_layout


class ExactNms(Component):
    """Keeps exactly the boxes that GreedyNMS keeps, the best first, at about one box a cycle, image after image.

    Boxes are sorted by the digits of their scores, the lowest first, in a sorter each; then they are settled one after
    the other. A sorter sends an image while the next one comes in. Settling takes a cycle for a box, and one more for
    every `comparators` candidates, or so, beyond the first ones; an image that keeps more boxes than `slots` takes
    another pass over the boxes that are left. Nothing of that changes what is kept.

    Malformed boxes and boxes beyond the capacity are dropped, and reported on `error` one cycle after their beat.

    Parameters
    ----------
    params
        See `ExactParams`.

    Attributes
    ----------
    latency
        The best box of an image of n boxes comes `latency` cycles after the last one was taken, and n - 1 cycles more
        for every sorter but the first.
    """

    def __init__(self, params: ExactParams):
        self.params = params
        box, low = ranked_layout(params), 0
        self.sorters: list[DigitSort] = []
        for width in params.digits:
            self.sorters.append(DigitSort(box, low, width, params.capacity))
            low += width
        self.settle = Settle(params)
        self.latency = DigitSort.LATENCY * len(self.sorters) + Settle.LATENCY
        super().__init__(
            inputs=In(boxes_in(params.format, 1), "Boxes of an image in the detector's order, one a beat."),
            outputs=Out(
                boxes_out(params.format, 1, params.index_width),
                "Boxes kept, one a beat, the best first; `last` comes with a box, or in an empty beat.",
            ),
            error=Out(error_layout(1, params.capacity), "Faults of a beat, one cycle after it."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        stages = [*self.sorters, self.settle]
        for number, sorter in enumerate(self.sorters):
            m.submodules[f"sort_{number}"] = sorter
            wiring.connect(m, sorter.outputs, stages[number + 1].inputs)
        m.submodules.settle = self.settle
        self._take(m, self.sorters[0].inputs)
        sent = self.settle.outputs
        box, out = sent.p.box, self.outputs.p.boxes[0]
        m.d.comb += [
            self.outputs.valid.eq(sent.valid),
            sent.ready.eq(self.outputs.ready),
            self.outputs.p.last.eq(sent.p.last),
            out.empty.eq(sent.p.empty),
            *(out[name].eq(box[name]) for name in ("score", "label", "index")),
            *(out[name].eq(code) for name, code in box_codes(self.params, box.corners).items()),
        ]
        return m

    def _take(self, m: Module, sink: Any) -> None:
        """Give boxes their indices, drop the malformed ones and those beyond the capacity, and report them."""
        params, box = self.params, self.inputs.p.boxes[0]
        m.submodules.check = check = BoxCheck(params.format)
        index, beyond, taken = Signal(range(params.capacity + 1)), Signal(), Signal()
        m.d.comb += [
            check.box.eq(box),
            beyond.eq(index == params.capacity),
            taken.eq(self.inputs.valid & sink.ready),
            sink.valid.eq(self.inputs.valid),
            self.inputs.ready.eq(sink.ready),
            sink.p.last.eq(self.inputs.p.last),
            sink.p.empty.eq(box.empty | check.malformed | beyond),
            sink.p.box.corners.eq(check.corners),
            sink.p.box.index.eq(index),
            *(sink.p.box[name].eq(box[name]) for name in ("score", "label")),
        ]
        m.d.sync += self.error.eq(0)
        with m.If(taken):
            m.d.sync += index.eq(Mux(self.inputs.p.last, 0, Mux(beyond, index, index + 1)))
        with m.If(taken & Mux(beyond, ~box.empty, check.malformed)):
            m.d.sync += Cat(self.error).eq(Cat(~beyond, beyond, index))


def box_codes(params: ExactParams, corners: data.View) -> dict[str, Value]:
    """Return the four numbers of a box as they were sent."""
    if params.format.form is Form.CORNERS:
        return {name: corners[name] for name in params.format.fields}
    centre = {f"c{axis}": (corners[f"{axis}1"] + corners[f"{axis}2"]) >> 2 for axis in "xy"}
    sizes = {name: (corners[f"{axis}2"] - corners[f"{axis}1"]) >> 1 for name, axis in (("w", "x"), ("h", "y"))}
    return centre | sizes
