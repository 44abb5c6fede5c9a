"""Relationship recovery: from a box to its windows in every pass."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import data

from roundel.golden.nms import NmsParams, Pass
from roundel.hw.lib import Component, In, Out, delay, multiple, named
from roundel.hw.nms.streams import corner_layout
from roundel.hw.nms.windows import WindowKey


class Recovery(Component):
    """Cell, channel and windows of a box, without division: see `NmsParams.recover`. One box per cycle.

    The nearest channel is found by thresholds: its area is compared with constants, and its height with its width
    times constant fractions.

    Parameters
    ----------
    params, passes
        The unit and the passes whose windows are wanted.
    skew
        Cycles by which the windows come later.
    """

    AREA_LATENCY = 2

    def __init__(self, params: NmsParams, passes: Sequence[Pass], *, skew: int = 0):
        self.params, self.skew = params, skew
        self.windows = [WindowKey(params, nms_pass) for nms_pass in passes]
        self.latency = 3 + skew + WindowKey.LATENCY
        width = params.format.corner_width
        super().__init__(
            corners=In(corner_layout(params.format), "Corners of a box."),
            label=In(params.format.label_width, "Class of the box."),
            area=Out(2 * width, "Area in squared units of a corner, `AREA_LATENCY` cycles later."),
            keys=Out(
                data.StructLayout({f"pass_{n}": window.key.shape() for n, window in enumerate(self.windows)}),
                "The window in each pass, `latency` cycles later.",
            ),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params, corners = self.params, self.corners
        width, height = (Signal(params.format.corner_width, name=n, reset_less=True) for n in ("width", "height"))
        x, y = (Signal.like(value, name=n, reset_less=True) for n, value in self._cells())
        m.d.sync += [width.eq(corners.x2 - corners.x1), height.eq(corners.y2 - corners.y1)]
        m.d.sync += [x.eq((corners.x1 + corners.x2) >> params.cell_shift)]
        m.d.sync += [y.eq((corners.y1 + corners.y2) >> params.cell_shift)]

        above_ratio = Signal(max(1, len(params.ratio_thresholds)), reset_less=True)
        m.d.sync += self.area.eq(width * height)
        for number, (p, q) in enumerate(params.ratio_thresholds):
            spare = named(m, multiple(width, p) - multiple(height, q), f"spare_{number}")
            m.d.sync += above_ratio[number].eq(spare[-1])

        scale = Signal.like(self.windows[0].scale, reset_less=True)
        ratio = Signal.like(self.windows[0].ratio, reset_less=True)
        m.d.sync += scale.eq(_count([self.area > threshold for threshold in params.area_thresholds]))
        m.d.sync += ratio.eq(_count(list(above_ratio)))
        place = Cat(delay(m, Cat(x, y), 2, "cell"), scale, ratio, delay(m, self.label, 3, "label"))
        place = delay(m, place, self.skew, "place")
        for number, window in enumerate(self.windows):
            m.submodules[f"window_{number}"] = window
            m.d.comb += [
                Cat(window.x, window.y, window.scale, window.ratio, window.label).eq(place),
                self.keys[f"pass_{number}"].eq(window.key),
            ]
        return m

    def _cells(self) -> tuple[tuple[str, Value], ...]:
        window = self.windows[0]
        return ("x", window.x), ("y", window.y)


def _count(above: list[Value]) -> Value:
    """How many of rising thresholds are passed: that of the highest one."""
    return sum(above[1:], above[0]) if above else 0
