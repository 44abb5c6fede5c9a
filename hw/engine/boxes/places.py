"""Places of locations, and the corners of boxes beside them."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from roundel.golden.engine import Opcode
from roundel.golden.head import PLACE
from roundel.golden.nms import MAX_IMAGE, BoxFormat
from roundel.hw.engine.boxes.powers import WIDTH
from roundel.hw.engine.ports import descriptor_layout
from roundel.hw.lib import Component, In, Out, gated, named, select

_NUMBER = (MAX_IMAGE - 1).bit_length()
_FRESH = 15  # the turn before the first
_OFFSET = 17  # bits of a place and an offset together, of images up to 2**14 units


class Places(Component):
    """Place of a location along an axis, and corners of its box, on one adder.

    A product of step and number, a bit a cycle from the highest down; then the origin; then, with `join`, the offset of
    a centre. The place is `ready` at the earliest `latency` cycles after `begin`; from then on corners are asked for,
    combinational.

    Parameters
    ----------
    form
        Of the boxes.
    centre
        Whether there are offsets.
    """

    def __init__(self, form: BoxFormat, *, centre: bool):
        self.format, self.centre = form, centre
        self.turns = _NUMBER + 1 + centre
        self.latency = self.turns + 2
        self.point = PLACE + 1 + centre  # fraction bits: what follows the number's bits doubles the place, too
        whole = form.coordinate_width + 2
        self.width = max(max(whole, _OFFSET if centre else 0) + self.point, WIDTH)
        super().__init__(
            descriptor=In(descriptor_layout(Opcode.BOXES, heads=True), "The descriptor of the scale; it stands still."),
            number=In(_NUMBER, "Column or row of the location; it stands still from `begin` on."),
            axis=In(1, "The axis is y."),
            begin=In(1, "Forget the place and begin with the next one."),
            centred=In(1, "There is an offset."),
            join=In(1, "The offset is there."),
            distance=In(
                signed(WIDTH),
                "From the place to a corner, in halves of a unit; with `joining` what a centre lies beside its "
                "location, in units.",
            ),
            minus=In(1, "The corner lies before the place."),
            ready=Out(1, "The place is there."),
            joining=Out(1, "Only the offset is missing; never without `centre`."),
            corner=Out(form.coordinate_width, "The corner, rounded, within the image; while `ready`."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        turn, place = Signal(4, init=self.turns, reset_less=True), Signal(signed(self.width), reset_less=True)
        ready, total = named(m, turn == self.turns, "is_ready"), Signal(signed(self.width))
        joining = named(m, turn == _NUMBER + 1, "is_joining") if self.centre else Const(0)
        fresh = named(m, turn == _FRESH, "fresh")
        before = gated(self.width, (~ready & ~fresh, place << 1), (ready, place >> self.point))
        half = ready & (self.distance[0] ^ self.minus)  # of `a - b`, which is `a + ~b + 1`, and rounded
        m.d.comb += [
            self.ready.eq(ready),
            self.joining.eq(joining),
            total.eq(before + self._added(turn, joining, ready) + half),
            self.corner.eq(self._clamped(total)),
        ]
        with m.If(self.begin):
            m.d.sync += turn.eq(_FRESH)
        with m.Elif(~ready & (~joining | ~self.centred | self.join)):
            m.d.sync += [turn.eq(turn + 1), place.eq(total)]
        return m

    def _added(self, turn: Value, joining: Value, ready: Value) -> Value:
        """Return what is added: the step for a bit of the number, the origin, an offset, or a distance rounded down."""
        head = self.descriptor
        bit = select([*self.number[::-1], *[Const(0, 1)] * (16 - _NUMBER)], turn)
        choices: list[tuple[Value, Value]] = [
            (bit, head.step),
            (turn == _NUMBER, Cat(Const(0, 1), head.origin)),
            (ready, (self.distance[1:] ^ self.minus.replicate(WIDTH - 1)).as_signed()),
        ]
        if self.centre:
            choices.append((joining & self.centred, Cat(Const(0, self.point), self.distance[:_OFFSET]).as_signed()))
        return gated(self.width, *choices)

    def _clamped(self, total: Value) -> Value:
        """Return a corner within the image."""
        borders = [Const(border, len(self.corner)) for border in self.format.borders]
        border = Mux(self.axis, borders[1], borders[0])
        return Mux(total[-1], 0, Mux(total > border, border, total[: len(border)]))
