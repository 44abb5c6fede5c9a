"""BOXES: from the maps of a detector head to the boxes kept, in the outer memory."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring

from roundel.golden.engine import PLACE, EngineParams, Opcode, Region
from roundel.golden.errors import InputError
from roundel.hw.axi import write_layout
from roundel.hw.engine.boxes.best import BestClass
from roundel.hw.engine.boxes.corners import BoxCorners
from roundel.hw.engine.boxes.records import BoxRecords
from roundel.hw.engine.boxes.suppress import Suppressor, place_of, suppressor
from roundel.hw.engine.boxes.words import BoxWords
from roundel.hw.engine.ports import OUTER_ADDRESS, read_port, unit_port
from roundel.hw.lib import Component, In, Out, named, select
from roundel.hw.nms import box_layout


class Boxes(Component):
    """Decodes one scale of a head; with the last one of an image, its boxes are sifted and written.

    A location takes a cycle for each of its words, and three more if it has a box. Scales up to the one with `last` are
    one image; their boxes wait in the NMS unit.

    Parameters
    ----------
    params
        The engine's, with `nms`.
    """

    def __init__(self, params: EngineParams):
        if params.nms is None:
            raise ValueError("nms must be given for an engine with boxes")
        if params.heads:
            known = ", ".join(params.heads)
            raise InputError(f"heads: expected none, as hardware decodes the plain head alone so far, not {known}")
        self.params, self.nms = params, params.nms
        super().__init__(
            unit=In(
                unit_port(Opcode.BOXES),
                "The unit's descriptor. `done` when all boxes of the scale are in the NMS unit; with `last`, when all "
                "records are in the outer memory.",
            ),
            bases=In(OUTER_ADDRESS, "Addresses of the regions in the outer memory.").array(len(Region)),
            memory=Out(read_port(params), "Reads words of the activation memory."),
            command=Out(stream.Signature(unsigned(OUTER_ADDRESS)), "Address of the records, one command an image."),
            data=Out(stream.Signature(write_layout(params.bus)), "Beats of the records."),
            written=In(1, "For one cycle: a command's data are in the outer memory."),
            count=Out(32, "Boxes kept of the image that was written last, or is being written."),
            dropped=Out(1, "For one cycle: the NMS unit had no place for a box, or found it malformed."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.words = words = BoxWords(self.params)
        m.submodules.best = best = BestClass(self.params)
        m.submodules.corners = corners = BoxCorners(self.nms, places=self.params.places)
        m.submodules.nms = nms = suppressor(self.params)
        m.submodules.records = records = BoxRecords(self.params, self.nms)
        wiring.connect(m, words.memory, wiring.flipped(self.memory))
        wiring.connect(m, words.words, best.words)
        wiring.connect(m, best.locations, corners.locations)
        wiring.connect(m, nms.outputs, records.kept)
        wiring.connect(m, records.command, wiring.flipped(self.command))
        wiring.connect(m, records.data, wiring.flipped(self.data))
        for part in (words, best, corners):
            m.d.comb += [part.start.eq(self.unit.start), part.descriptor.eq(self.unit.descriptor)]
        m.d.comb += [
            self.dropped.eq(nms.error.malformed.any() | nms.error.overflow),
            self.count.eq(records.count),
            records.written.eq(self.written),
        ]
        self._image(m, corners, nms, records)
        return m

    def _image(self, m: Module, corners: BoxCorners, nms: Suppressor, records: BoxRecords) -> None:
        """Boxes go to the NMS unit; behind those of the last scale an empty place, which ends the image."""
        unit, ended, begins = self.unit, Signal(), Signal()
        box, place = corners.boxes, nms.inputs.p.boxes[0]
        ending = named(m, unit.busy & corners.done & unit.descriptor.last & ~ended, "ending")
        m.d.comb += [
            nms.inputs.valid.eq(box.valid | ending),
            nms.inputs.p.last.eq(ending),
            *self._named(m, place, box.p),
            place.empty.eq(ending),
            box.ready.eq(nms.inputs.ready),
            records.start.eq(begins & unit.descriptor.last),
        ]
        finished = Mux(unit.descriptor.last, ended & records.done, corners.done)
        m.d.sync += [
            begins.eq(unit.start),
            records.address.eq(select(list(self.bases), unit.descriptor.region) + unit.descriptor.offset),
            unit.done.eq(unit.busy & finished & ~unit.done),
        ]
        with m.If(unit.start):
            m.d.sync += [unit.busy.eq(1), ended.eq(0)]
        with m.Elif(unit.done):
            m.d.sync += unit.busy.eq(0)
        with m.If(ending & nms.inputs.ready):
            m.d.sync += ended.eq(1)

    def _named(self, m: Module, place: data.View, box: data.View) -> list[Any]:
        """Return what leads a box to the NMS unit, with places its tag among it."""
        if box.shape() == place.shape():
            return [place.eq(box)]
        fields = [place[name].eq(box[name]) for name in box_layout(self.nms.format).members]
        if not self.params.places:
            return fields
        scale = Signal(PLACE.width("scale"))
        with m.If(self.unit.done):
            m.d.sync += scale.eq(Mux(self.unit.descriptor.last, 0, scale + 1))
        return [place.tag.eq(place_of(m, box, scale)), *fields]
