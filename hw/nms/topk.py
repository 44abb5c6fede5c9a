"""Top-k: the best boxes of an image, for detectors whose boxes do not suppress each other."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring

from roundel.golden.nms import TopKParams
from roundel.hw.lib import Component, In, Out
from roundel.hw.nms.best import BestBoxes
from roundel.hw.nms.streams import boxes_in, boxes_out, error_layout, send_kept


class TopK(Component):
    """Keeps the best boxes of an image, the best first, image after image.

    An image of at most `held` boxes takes a cycle for each of them, and a few between images, as it is sorted while the
    next one comes in; of more boxes, see `BestBoxes`.

    Malformed boxes and boxes beyond the candidates are dropped, and reported on `error` one cycle after their beat.

    Parameters
    ----------
    params
        See `TopKParams`.

    Attributes
    ----------
    latency
        The best box of an image of n boxes that are sorted together comes `latency` cycles after the last one was
        taken, and n - 1 cycles more for every digit of the scores but the first.
    """

    def __init__(self, params: TopKParams):
        self.params, self.best = params, BestBoxes(params)
        self.latency = self.best.latency
        super().__init__(
            inputs=In(
                boxes_in(params.format, 1, params.tag_width), "Boxes of an image in the detector's order, one a beat."
            ),
            outputs=Out(
                boxes_out(params.format, 1, params.index_width),
                "Boxes kept, one a beat, the best first; `last` comes with a box, or in an empty beat.",
            ),
            error=Out(error_layout(1, params.candidates), "Faults of a beat, one cycle after it."),
            moving=Out(1, "A box is on its way within the unit, which may be quiet for long."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.best = best = self.best
        wiring.connect(m, wiring.flipped(self.inputs), best.inputs)
        send_kept(m, self.params.format, best.outputs, self.outputs)
        m.d.comb += [self.error.eq(best.error), self.moving.eq(best.moving)]
        return m
