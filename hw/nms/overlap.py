"""Whether two boxes overlap too much: intersection over union against a threshold, without a division."""

from typing import Any

from amaranth.hdl import Module, Mux, Value

from roundel.golden.nms import BoxFormat, rational
from roundel.hw.lib import Component, In, Out, delay, multiple, named
from roundel.hw.nms.streams import corner_layout


class BoxOverlap(Component):
    """IoU > threshold for a pair of boxes in every cycle, the answer `LATENCY` cycles later.

    [S] With the threshold p/q, `inter (p + q) > p (area_a + area_b)`. Four stages: the sides of the intersection, its
    area, both sides of the inequality, and the comparison. The constants go in as sums of shifted terms.

    Parameters
    ----------
    form
        Of the boxes. Both must lie within the image.
    threshold
        0 to 1, see `roundel.golden.nms.format.rational`.
    given
        Boxes, of `"ab"`, whose area comes with them. The area of any other is computed here, by one multiplier more.
    """

    LATENCY = 4

    def __init__(self, form: BoxFormat, threshold: float, *, given: str = "ab"):
        p, q = rational(threshold)
        self.inter_factor, self.area_factor = p + q, p
        self.given = given
        corners, area = corner_layout(form), 2 * form.corner_width
        super().__init__(
            a=In(corners, "Corners of a box."),
            b=In(corners, "Corners of the other box."),
            **{f"area_{box}": In(area, f"Area of box {box}, in squared units of a corner.") for box in given},
            exceeds=Out(1, "The overlap exceeds the threshold."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        sides, meet = zip(*(self._shared(m, axis) for axis in "xy"), strict=True)
        areas = [self._area(m, box) for box in "ab" if box not in self.given]
        known = [getattr(self, f"area_{box}") for box in self.given]
        if known:
            areas.append(delay(m, sum(known[1:], known[0]), 2, "known"))
        meets = delay(m, meet[0] & meet[1], 2, "meets")
        inter = delay(m, sides[0] * sides[1], 1, "inter")
        union = named(m, sum(areas[1:], areas[0]), "areas")
        held = self.LATENCY - 3  # cycles of the sides of the inequality
        needed = delay(m, multiple(union, self.area_factor), held, "needed")
        given = delay(m, multiple(inter, self.inter_factor), held, "given")
        m.d.sync += self.exceeds.eq((given > needed) & delay(m, meets, held, "meets_late"))
        return m

    def _shared(self, m: Module, axis: str) -> tuple[Value, Value]:
        """Along an axis: the length that both boxes share, registered, and whether they share any."""
        a, b = self.a, self.b
        low, high = f"{axis}1", f"{axis}2"
        start = named(m, Mux(a[low] > b[low], a[low], b[low]), f"start_{axis}")
        end = named(m, Mux(a[high] < b[high], a[high], b[high]), f"end_{axis}")
        length = named(m, end - start, f"length_{axis}")
        return delay(m, length[:-1], 1, f"side_{axis}"), ~length[-1]

    def _area(self, m: Module, name: str) -> Value:
        """Area of a box, two cycles later."""
        box = getattr(self, name)
        sides = [delay(m, (box[f"{axis}2"] - box[f"{axis}1"])[:-1], 1, f"{name}_{axis}") for axis in "xy"]
        return delay(m, sides[0] * sides[1], 1, f"own_{name}")


class ShortOverlap(BoxOverlap):
    """The same in three stages: both sides of the inequality are computed where they are compared. Smaller, slower."""

    LATENCY = 3
