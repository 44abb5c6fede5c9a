"""The suppression unit at the end of an engine, and the names of boxes that go through it."""

from dataclasses import replace
from typing import Any, TypeAlias

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from roundel.golden.engine import PLACE, EngineParams
from roundel.golden.nms import ExactParams, NmsParams, Suppression
from roundel.hw.lib import Component, In, Out, TwoPortMemory
from roundel.hw.nms import ExactNms, Nms, TopK, box_layout, boxes_in, boxes_out


class TaggedSuppressor(Component):
    """A suppression unit whose boxes leave with the tags that they came with, one image at a time.

    The tags wait in a memory, by the index that the unit itself gives a box, which is below its capacity. An image must
    have left before the next one comes. Boxes leave a cycle later than from the unit alone.

    Parameters
    ----------
    params
        The unit's; an image may send as many boxes as it holds.
    """

    def __init__(self, params: Suppression):
        self.params, self.unit = params, unit_of(params)
        form, errors = params.format, self.unit.error.shape()
        moving = {"moving": Out(1, "As the unit's.")} if quiet(params) else {}
        super().__init__(
            inputs=In(boxes_in(form, 1, PLACE.bits), "Boxes with their tags, as the unit takes them."),
            outputs=Out(boxes_out(form, 1, PLACE.bits), "Boxes kept, with their tags in place of the index."),
            error=Out(errors, "As the unit's."),
            **moving,
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.unit = unit = self.unit
        m.submodules.tags = tags = TwoPortMemory(width=PLACE.bits, depth=max(2, self.params.capacity))
        sent, kept = self.inputs.p.boxes[0], unit.outputs.p.boxes[0]
        place, taken = Signal(range(self.params.capacity + 1)), Signal()
        room = place != self.params.capacity
        m.d.comb += [
            unit.inputs.valid.eq(self.inputs.valid),
            unit.inputs.p.last.eq(self.inputs.p.last),
            *(unit.inputs.p.boxes[0][name].eq(sent[name]) for name in box_layout(self.params.format).members),
            self.inputs.ready.eq(unit.inputs.ready),
            self.error.eq(unit.error),
            taken.eq(unit.inputs.valid & unit.inputs.ready),
            Cat(tags.write_en, tags.write_addr).eq(Cat(taken & room, place[: len(tags.write_addr)])),
            tags.write_data.eq(sent.tag),
        ]
        if quiet(self.params):
            m.d.comb += self.moving.eq(unit.moving)
        with m.If(taken):
            m.d.sync += place.eq(Mux(self.inputs.p.last, 0, place + room))

        out, free = self.outputs.p.boxes[0], Signal()
        m.d.comb += [
            free.eq(~self.outputs.valid | self.outputs.ready),
            unit.outputs.ready.eq(free),
            Cat(tags.read_en, tags.read_addr).eq(Cat(free & unit.outputs.valid, kept.index)),
            out.index.eq(tags.read_data),
        ]
        with m.If(free):
            m.d.sync += [self.outputs.valid.eq(unit.outputs.valid), self.outputs.p.last.eq(unit.outputs.p.last)]
            m.d.sync += [out[name].eq(kept[name]) for name in kept.shape().members if name != "index"]
        return m


Suppressor: TypeAlias = Nms | ExactNms | TopK | TaggedSuppressor


def unit_of(params: Suppression) -> Nms | ExactNms | TopK:
    """Return the unit that has these parameters."""
    if isinstance(params, NmsParams):
        return Nms(params)
    return ExactNms(params) if isinstance(params, ExactParams) else TopK(params)


def suppressor(params: EngineParams) -> Suppressor:
    """Return what suppresses the boxes of an engine; with places, they come with tags and leave with them.

    [R] Where an image may send more boxes than the unit holds, there is no index by which a memory could keep tags:
    these go through the unit. In all other cases a memory of one tag a box is the smaller one.
    """
    nms = params.nms
    assert nms is not None
    if not params.places:
        return unit_of(nms)
    if not isinstance(nms, NmsParams) and nms.top.selects:
        return unit_of(replace(nms, tag_width=PLACE.bits))
    return TaggedSuppressor(nms)


def quiet(params: Suppression) -> bool:
    """Whether the unit may move nothing outside for longer than the engine's watchdog waits, and has `moving`."""
    return not isinstance(params, NmsParams)


def index_width(params: EngineParams) -> int:
    """Return the bits by which a kept box is named."""
    assert params.nms is not None
    return PLACE.bits if params.places else params.nms.index_width


def place_of(m: Module, box: data.View, scale: Value) -> data.View:
    """Return the `PLACE` of a box with `row`, `column` and, where its head has priors, `prior`."""
    place = Signal(data.StructLayout({item.name: item.bits for item in PLACE.items}), name="place")
    known = [name for name in PLACE.names if name in box.shape().members]
    m.d.comb += [place.scale.eq(scale), *(place[name].eq(box[name]) for name in known)]
    return place
