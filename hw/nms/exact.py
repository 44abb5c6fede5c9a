"""GreedyNMS at a box a cycle: boxes are sorted by lists, and compared only with kept boxes that lie near."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring

from roundel.golden.nms import ExactParams
from roundel.hw.lib import Component, In, Out
from roundel.hw.nms.best import BestBoxes
from roundel.hw.nms.settle import Settle
from roundel.hw.nms.streams import boxes_in, boxes_out, error_layout, send_kept


class ExactNms(Component):
    """Keeps exactly the boxes that GreedyNMS keeps, the best first, at about one box a cycle, image after image.

    Boxes are sorted by `BestBoxes`, then they are settled one after the other. An image is settled while the next one
    comes in. Settling takes a cycle for a box, and one more for every `comparators` candidates, or so, beyond the first
    ones; an image that keeps more boxes than `slots` takes another pass over the boxes that are left. Nothing of that
    changes what is kept.

    Malformed boxes and boxes beyond the candidates are dropped, and reported on `error` one cycle after their beat.

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
        self.params, self.best, self.settle = params, BestBoxes(params.top), Settle(params)
        self.latency = self.best.latency + Settle.LATENCY
        super().__init__(
            inputs=In(
                boxes_in(params.format, 1, params.tag_width), "Boxes of an image in the detector's order, one a beat."
            ),
            outputs=Out(
                boxes_out(params.format, 1, params.index_width),
                "Boxes kept, one a beat, the best first; `last` comes with a box, or in an empty beat.",
            ),
            error=Out(error_layout(1, params.top.candidates), "Faults of a beat, one cycle after it."),
            moving=Out(1, "A box is on its way within the unit, which may be quiet for long."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.best = best = self.best
        m.submodules.settle = settle = self.settle
        wiring.connect(m, wiring.flipped(self.inputs), best.inputs)
        wiring.connect(m, best.outputs, settle.inputs)
        send_kept(m, self.params.format, settle.outputs, self.outputs)
        m.d.comb += [self.error.eq(best.error), self.moving.eq(best.moving | settle.moving)]
        return m
