"""Boxes that have no verdict yet: whether one of them, once it is kept, suppresses the box that follows."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data

from roundel.golden.nms import ExactParams
from roundel.hw.lib import Component, In, Out, delay
from roundel.hw.nms.kept import same_class, solid_layout
from roundel.hw.nms.overlap import ShortOverlap

TAG = 3  # bits that tell passes apart, of which each box on its way may be of another one


class Unsettled(Component):
    """Compares each box with those that were looked up before it and have no verdict yet, a comparator for each.

    Box n gets its verdict n cycles before box 0 does. So when overlaps are known, the verdicts of boxes 1 and up were
    `keep` in cycles before, and that of box 0 is `keep` now.

    Boxes that get their verdict before `box` is in its stage of the last candidates need no comparator here: they are
    filed in time to be candidates. So the number of boxes is that of the cycles from that stage to the verdict.

    Parameters
    ----------
    params
        The unit.
    """

    LATENCY = ShortOverlap.LATENCY + 1
    COUNT = ShortOverlap.LATENCY + 1
    """Boxes without a verdict."""

    def __init__(self, params: ExactParams):
        self.params = params
        tagged = data.StructLayout({"box": solid_layout(params), "tag": TAG})
        super().__init__(
            box=In(tagged, "A box that is looked up."),
            before=In(data.ArrayLayout(tagged, self.COUNT), "Boxes looked up before it, the latest first."),
            keep=In(1, "The box whose verdict is due, the one that is in `before` for the last time, is kept."),
            blocked=Out(1, "A kept one of `before` overlaps `box` too much, `LATENCY` cycles later."),
        )
        assert 1 << TAG > self.COUNT + 1

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        box, overlaps = self.box, []
        for number, other in enumerate(self.before):
            m.submodules[f"overlap_{number}"] = overlap = ShortOverlap(self.params.format, self.params.threshold)
            m.d.comb += [
                Cat(overlap.a, overlap.area_a).eq(Cat(box.box.corners, box.box.area)),
                Cat(overlap.b, overlap.area_b).eq(Cat(other.box.corners, other.box.area)),
            ]
            counts = (box.tag == other.tag) & same_class(self.params, box.box.label, other.box.label)
            overlaps.append(overlap.exceeds & delay(m, counts, ShortOverlap.LATENCY, f"counts_{number}"))
        kept = [self.keep, *(Signal(name=f"kept_{ago}") for ago in range(1, self.COUNT))]  # verdicts of late
        m.d.sync += [
            Cat(kept[1:]).eq(Cat(kept[:-1])),
            self.blocked.eq(Cat(over & verdict for over, verdict in zip(overlaps, kept, strict=True)).any()),
        ]
        return m
