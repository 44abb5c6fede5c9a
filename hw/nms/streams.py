"""What the streams of boxes carry, and the check that every box goes through first."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, stream

from roundel.golden.nms import BoxFormat, Form
from roundel.hw.lib import Component, In, Out


def box_layout(form: BoxFormat) -> data.StructLayout:
    """Return a place for a box: its four numbers, score, label, and `empty` if there is none."""
    numbers = dict.fromkeys(form.fields, form.coordinate_width)
    return data.StructLayout(numbers | {"score": form.score_width, "label": form.label_width, "empty": 1})


def boxes_in(form: BoxFormat, lanes: int, tag_width: int = 0) -> stream.Signature:
    """Boxes of an image, `lanes` a beat, lane 0 first; `last` ends the image, in a beat of empty places if need be.

    With a tag, each box has it before the other fields.
    """
    box = box_layout(form)
    place = data.StructLayout({"tag": tag_width} | dict(box.members)) if tag_width else box
    return stream.Signature(data.StructLayout({"boxes": data.ArrayLayout(place, lanes), "last": 1}))


def boxes_out(form: BoxFormat, lanes: int, index_width: int) -> stream.Signature:
    """Boxes kept, as they came, with `index`: which place of their image they came in. At least one beat an image."""
    kept = data.StructLayout({"index": index_width} | dict(box_layout(form).members))
    return stream.Signature(data.StructLayout({"boxes": data.ArrayLayout(kept, lanes), "last": 1}))


def error_layout(lanes: int, capacity: int) -> data.StructLayout:
    """Return the faults of a beat, 0 if none: malformed boxes by lane, or boxes beyond `capacity`, and where.

    `index` is that of the beat's first place in its image, or `capacity` with `overflow`.
    """
    return data.StructLayout({"malformed": lanes, "overflow": 1, "index": capacity.bit_length()})


def corner_layout(form: BoxFormat) -> data.StructLayout:
    """Corners in units of `2**-corner_fraction` pixels."""
    return data.StructLayout(dict.fromkeys(("x1", "y1", "x2", "y2"), form.corner_width))


class BoxCheck(Component):
    """Corners of a box and whether it is malformed, combinational: see `BoxFormat.corners` and `.malformed`."""

    def __init__(self, form: BoxFormat):
        self.format = form
        super().__init__(
            box=In(box_layout(form), "The box as it came."),
            corners=Out(corner_layout(form), "Its corners; don't-cares for a malformed box."),
            malformed=Out(1, "The box is malformed; 0 for an empty place."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        form, box = self.format, self.box
        wrong = []
        for axis, border in zip("xy", form.borders, strict=True):
            low, high = self._ends(m, axis)
            m.d.comb += [self.corners[f"{axis}1"].eq(low), self.corners[f"{axis}2"].eq(high)]
            if border < (1 << len(high)) - 1:
                wrong.append(high > border)
            wrong.append(low >= high)
            if form.form is Form.CENTRE:
                wrong.append(low < 0)
        if form.classes < 1 << form.label_width:
            wrong.append(box.label >= form.classes)
        m.d.comb += self.malformed.eq(Cat(*wrong).any() & ~box.empty)
        return m

    def _ends(self, m: Module, axis: str) -> tuple[Value, Value]:
        """Both corners along an axis."""
        box, width = self.box, self.format.coordinate_width
        if self.format.form is Form.CORNERS:
            return box[f"{axis}1"], box[f"{axis}2"]
        centre, size = box[f"c{axis}"], box["w" if axis == "x" else "h"]
        low, high = Signal(signed(width + 2), name=f"low_{axis}"), Signal(unsigned(width + 2), name=f"high_{axis}")
        m.d.comb += [low.eq((centre << 1) - size), high.eq((centre << 1) + size)]
        return low, high


def send_kept(m: Module, form: BoxFormat, source: Any, sink: Any) -> None:
    """Lead sorted boxes, with corners and an index, to a stream as `boxes_out` with one lane, in the form they had."""
    box, out, corners = source.p.box, sink.p.boxes[0], source.p.box.corners
    numbers = {name: corners[name] for name in ("x1", "y1", "x2", "y2")}
    if form.form is Form.CENTRE:
        numbers = {f"c{axis}": (corners[f"{axis}1"] + corners[f"{axis}2"]) >> 2 for axis in "xy"}
        sizes = (("w", "x"), ("h", "y"))
        numbers |= {name: (corners[f"{axis}2"] - corners[f"{axis}1"]) >> 1 for name, axis in sizes}
    m.d.comb += [
        sink.valid.eq(source.valid),
        source.ready.eq(sink.ready),
        sink.p.last.eq(source.p.last),
        out.empty.eq(source.p.empty),
        *(out[name].eq(box[name]) for name in ("score", "label", "index")),
        *(out[name].eq(code) for name, code in numbers.items()),
    ]
