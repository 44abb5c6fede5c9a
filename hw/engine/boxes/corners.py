"""Corners of the boxes of a detector head: from a location's distances, its place and its score."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream

from roundel.golden.engine import PLACE, Opcode
from roundel.golden.head import MAX_STRIDE, SHIFTS
from roundel.golden.nms import BoxFormat, Suppression
from roundel.hw.engine.boxes.best import SIDES, location_layout, logit_of, score_of
from roundel.hw.engine.ports import descriptor_layout
from roundel.hw.lib import Component, In, Out, named
from roundel.hw.nms import box_layout

_GUARD = SHIFTS[1] + 1  # zeros below a distance: as far as it is moved to the left, and the bit that decides rounding


class BoxCorners(Component):
    """What `roundel.golden.head` makes of the locations of a scale. Four cycles a box, one a location without.

    Side after side goes through one shifter, one adder and one comparison with the border.

    Parameters
    ----------
    params
        Of the NMS unit, whose format tells units, image and scores.
    places
        Whether a box comes with `row` and `column` of its location.
    """

    def __init__(self, params: Suppression, *, places: bool = False):
        self.format: BoxFormat = params.format
        self.places = places
        box = box_layout(params.format)
        if places:
            box = data.StructLayout(dict(box.members) | {name: PLACE.width(name) for name in ("row", "column")})
        super().__init__(
            start=In(1, "A scale begins."),
            descriptor=In(
                descriptor_layout(Opcode.BOXES), "The descriptor of the scale; it stands still from `start` to `done`."
            ),
            locations=In(stream.Signature(location_layout()), "Locations in row-major order."),
            boxes=Out(stream.Signature(box), "The boxes, in the same order."),
            done=Out(1, "All locations were taken and all boxes given; from then on, until `start`."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        location, side, advance, running = self.locations, Signal(range(SIDES)), Signal(), Signal()
        good, score = self._judge()
        begins = named(m, running & location.valid & good & advance, "begins")  # with this side
        ends = named(m, begins & (side == SIDES - 1), "ends")
        through = named(m, ends | (running & location.valid & ~good), "through")
        m.d.comb += location.ready.eq(through)
        with m.If(begins):
            m.d.sync += side.eq(side + 1)

        x, y, last = self._centre(m, through, ends)
        with m.If(self.start):
            m.d.sync += running.eq(1)
        with m.Elif(through & last):
            m.d.sync += running.eq(0)

        moved = self._move(m, side, advance)
        corner = self._corner(m, Mux(side[0], y, x), side[1], moved, advance)
        steps = Signal(data.ArrayLayout(data.StructLayout({"valid": 1, "side": side.shape()}), 2))
        with m.If(advance):
            m.d.sync += [steps[0].valid.eq(begins), steps[0].side.eq(side), steps[1].eq(steps[0])]
        with m.If(ends):
            m.d.sync += [self.boxes.p.score.eq(score), self.boxes.p.label.eq(location.p.label)]
        full = self._give(m, corner, steps[1], advance)
        m.d.comb += self.done.eq(~running & ~steps[0].valid & ~steps[1].valid & ~full & ~self.start)
        return m

    def _judge(self) -> tuple[Value, Value]:
        """Whether the location has a box, and its score."""
        head, logit = self.descriptor, logit_of(self.locations.p.rank, self.descriptor)
        return logit >= head.threshold, score_of(logit, head, self.format.score_width)

    def _centre(self, m: Module, through: Value, begun: Value) -> tuple[Value, Value, Value]:
        """Of the present location; and whether it is the last."""
        head, form = self.descriptor, self.format
        bits = max(form.coordinate_width, MAX_STRIDE.bit_length() + form.fraction) + 1
        x, y = (Signal(bits, name=name, reset_less=True) for name in "xy")
        column, row = Signal.like(head.width, reset_less=True), Signal.like(head.height, reset_less=True)
        step = Signal(bits)
        m.d.comb += step.eq(Const(1 << form.fraction) << head.stride[:3])
        ends = named(m, column == head.width - 1, "row_ends")
        if self.places:
            with m.If(begun):
                m.d.sync += [self.boxes.p.row.eq(row), self.boxes.p.column.eq(column)]
        with m.If(self.start):
            m.d.sync += [x.eq(step >> 1), y.eq(step >> 1), column.eq(0), row.eq(0)]
        with m.Elif(through & ends):
            m.d.sync += [x.eq(step >> 1), y.eq(y + step), column.eq(0), row.eq(row + 1)]
        with m.Elif(through):
            m.d.sync += [x.eq(x + step), column.eq(column + 1)]
        return x, y, ends & (row == head.height - 1)

    def _move(self, m: Module, side: Value, advance: Value) -> Value:
        """Return the distance of a side in units of the format, not rounded yet: the lowest bit is worth a half."""
        byte = self.locations.p.distances.as_value().word_select(side, 8)
        distance = Cat(Const(0, _GUARD), byte, byte[7] & self.descriptor.box_signed).as_signed()
        amount = (SHIFTS[1] - self.descriptor.shift)[:5]
        moved = Signal(distance.shape(), reset_less=True)
        with m.If(advance):
            m.d.sync += moved.eq(distance >> amount)
        return moved

    def _corner(self, m: Module, centre: Value, far: Value, moved: Value, advance: Value) -> Value:
        """Centre plus or minus the distance, rounded: `a - b` is `a + ~b + 1`."""
        held = Signal.like(Cat(centre, far), name="held", reset_less=True)
        start, plus = held[:-1], held[-1]
        whole, half = moved[1:] ^ ~plus.replicate(len(moved) - 1), moved[0] ^ ~plus
        corner = Signal(signed(max(len(start), len(whole)) + 2), reset_less=True)
        with m.If(advance):
            m.d.sync += [held.eq(Cat(centre, far)), corner.eq(start + whole.as_signed() + half)]
        return corner

    def _give(self, m: Module, corner: Value, step: data.View, advance: Value) -> Value:
        """Clamp the corners to the image and put them together."""
        box, full = self.boxes.p, Signal()
        borders = [Const(border, len(box.x1)) for border in self.format.borders]
        border = Mux(step.side[0], borders[1], borders[0])
        clamped = Mux(corner < 0, 0, Mux(corner > border, border, corner[: len(border)]))
        with m.If(advance):
            m.d.sync += full.eq(step.valid & (step.side == SIDES - 1))
            for number, name in enumerate(self.format.fields):
                with m.If(step.valid & (step.side == number)):
                    m.d.sync += box[name].eq(clamped)
        m.d.comb += [
            self.boxes.valid.eq(full & (box.x1 < box.x2) & (box.y1 < box.y2)),
            advance.eq(~self.boxes.valid | self.boxes.ready),
        ]
        return full
