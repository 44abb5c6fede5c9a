"""PSRR-MaxpoolNMS on streams of boxes: recovery, scatter, gather."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import wiring

from roundel.golden.nms import NmsParams
from roundel.hw.lib import Component, In, Out
from roundel.hw.nms.stage import NmsStage
from roundel.hw.nms.streams import boxes_in, boxes_out, error_layout


class Nms(Component):
    """Keeps the boxes that are the best of their window in every pass; one beat of boxes per cycle, image after image.

    With `parallel` semantics one stage has the tables of all passes; a cascade is a chain of stages with one pass each.
    While an image is gathered the next one is scattered, without a pause between images of equal size. After a reset,
    and whenever 2**epoch_width - 1 images have passed, the tables are cleared first, one window a cycle.

    A malformed box is dropped and reported; so is every box behind the first `capacity` of an image.

    Parameters
    ----------
    params
        See `NmsParams`.

    Attributes
    ----------
    latency
        Cycles from an image's last beat to its first box kept, if that is its first box. In a cascade every stage but
        the first adds the beats that it is given.
    """

    def __init__(self, params: NmsParams):
        self.params = params
        self.stages = [NmsStage(params, passes, first=not number) for number, passes in enumerate(params.stages)]
        self.latency = sum(stage.latency for stage in self.stages)
        super().__init__(
            inputs=In(
                boxes_in(params.format, params.lanes),
                "Boxes of an image in the detector's order; a place of a beat may be empty.",
            ),
            outputs=Out(
                boxes_out(params.format, params.lanes, params.index_width),
                "Boxes kept, in the same order. At least one beat an image, the last with `last`.",
            ),
            error=Out(error_layout(params.lanes, params.capacity), "Faults of a beat, for one cycle."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        stream = wiring.flipped(self.inputs)
        for number, stage in enumerate(self.stages):
            m.submodules[f"stage_{number}"] = stage
            wiring.connect(m, stream, stage.inputs)
            stream = stage.outputs
        wiring.connect(m, stream, wiring.flipped(self.outputs))
        m.d.comb += self.error.eq(self.stages[0].error)
        return m
