"""BOXES: from the maps of a detector head to the boxes kept, in the outer memory."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring

from roundel.golden.engine import PLACE, EngineParams, Opcode, Region
from roundel.hw.axi import command_layout, read_layout, write_layout
from roundel.hw.engine.boxes.best import BestClass
from roundel.hw.engine.boxes.corners import BoxCorners
from roundel.hw.engine.boxes.decoder import BoxDecoder
from roundel.hw.engine.boxes.records import BoxRecords
from roundel.hw.engine.boxes.scan import Scan
from roundel.hw.engine.boxes.suppress import Suppressor, place_of, quiet, suppressor
from roundel.hw.engine.boxes.words import BoxWords
from roundel.hw.engine.ports import OUTER_ADDRESS, read_port, unit_port
from roundel.hw.lib import Component, In, Out, Port, named, select
from roundel.hw.nms import box_layout


def table_ports(params: EngineParams) -> dict[str, Port]:
    """Return the ports that bring the tables of heads; none without `heads`."""
    if not params.heads:
        return {}
    return {
        "tables_command": Out(stream.Signature(command_layout()), "The transfer of a scale's tables."),
        "tables_data": In(stream.Signature(read_layout(params.bus)), "Its beats."),
        "loaded": Out(1, "For one cycle: the tables of the scale are there, if it has any."),
        "fault": Out(1, "A scale's tables have another length than its head asks for; held."),
    }


class Boxes(Component):
    """Decodes one scale of a head; with the last one of an image, its boxes are sifted and written.

    The plain head takes a cycle for each word of a location, and three more if it has a box; with `heads`, see `Scan`
    and `BoxDecoder`. Scales up to the one with `last` are one image; their boxes wait in the NMS unit.

    Parameters
    ----------
    params
        The engine's, with `nms`.
    """

    def __init__(self, params: EngineParams):
        if params.nms is None:
            raise ValueError("nms must be given for an engine with boxes")
        self.params, self.nms = params, params.nms
        super().__init__(
            **({"moving": Out(1, "A box is on its way within the NMS unit.")} if quiet(params.nms) else {}),
            unit=In(
                unit_port(Opcode.BOXES, heads=bool(params.heads)),
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
            **table_ports(params),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        front = self._front(m)
        m.submodules.nms = nms = self._suppressor()
        m.submodules.records = records = BoxRecords(self.params, self.nms)
        boxes, done = self._heads(m, *front) if self.params.heads else self._plain(m, *front)
        wiring.connect(m, nms.outputs, records.kept)
        wiring.connect(m, records.command, wiring.flipped(self.command))
        wiring.connect(m, records.data, wiring.flipped(self.data))
        for part in front:
            if not isinstance(part, BoxDecoder):
                m.d.comb += part.start.eq(self.unit.start)
            m.d.comb += part.descriptor.eq(self.unit.descriptor)
        m.d.comb += [
            self.dropped.eq(nms.error.malformed.any() | nms.error.overflow),
            self.count.eq(records.count),
            *([self.moving.eq(nms.moving)] if quiet(self.nms) else []),
            records.written.eq(self.written),
        ]
        self._image(m, boxes, done, nms, records)
        return m

    def _suppressor(self) -> Any:
        """Return what the boxes of an image go through."""
        return suppressor(self.params)

    def _front(self, m: Module) -> tuple[Any, ...]:
        """Return the parts that make boxes of maps."""
        if self.params.heads:
            m.submodules.scan = self.scan = scan = Scan(self.params)
            m.submodules.decoder = decoder = BoxDecoder(self.nms.format, self.params.heads)
            return scan, decoder
        m.submodules.words = words = BoxWords(self.params)
        m.submodules.best = best = BestClass(self.params)
        m.submodules.corners = corners = BoxCorners(self.nms, places=self.params.places)
        return words, best, corners

    def _plain(self, m: Module, words: BoxWords, best: BestClass, corners: BoxCorners) -> tuple[Any, Value]:
        """Return the stream of boxes of the plain head, and whether all were given."""
        wiring.connect(m, words.memory, wiring.flipped(self.memory))
        wiring.connect(m, words.words, best.words)
        wiring.connect(m, best.locations, corners.locations)
        return corners.boxes, corners.done

    def _heads(self, m: Module, scan: Scan, decoder: BoxDecoder) -> tuple[Any, Value]:
        """Return the stream of boxes of any head, and whether all were given: no candidate waits then."""
        wiring.connect(m, scan.memory, wiring.flipped(self.memory))
        wiring.connect(m, scan.command, wiring.flipped(self.tables_command))
        wiring.connect(m, wiring.flipped(self.tables_data), scan.parameters)
        wiring.connect(m, scan.candidates, decoder.candidates)
        wiring.connect(m, scan.bytes, decoder.bytes)
        m.d.comb += [decoder.words.eq(scan.words), self.loaded.eq(scan.loaded), self.fault.eq(scan.fault)]
        return decoder.boxes, scan.done

    def _image(self, m: Module, boxes: Any, done: Value, nms: Suppressor, records: BoxRecords) -> None:
        """Boxes go to the NMS unit; behind those of the last scale an empty place, which ends the image."""
        unit, ended, begins = self.unit, Signal(), Signal()
        place = nms.inputs.p.boxes[0]
        ending = named(m, unit.busy & done & unit.descriptor.last & ~ended, "ending")
        m.d.comb += [
            nms.inputs.valid.eq(boxes.valid | ending),
            nms.inputs.p.last.eq(ending),
            *self._named(m, place, boxes.p),
            place.empty.eq(ending),
            boxes.ready.eq(nms.inputs.ready),
            records.start.eq(begins & unit.descriptor.last),
        ]
        finished = Mux(unit.descriptor.last, ended & records.done, done)
        region, offset, addressed = self._address(m, records)
        m.d.sync += [
            begins.eq(addressed),
            records.address.eq(select(list(self.bases), region) + offset),
            unit.done.eq(unit.busy & finished & ~unit.done),
        ]
        with m.If(unit.start):
            m.d.sync += [unit.busy.eq(1), ended.eq(0)]
        with m.Elif(unit.done):
            m.d.sync += unit.busy.eq(0)
        with m.If(ending & nms.inputs.ready):
            m.d.sync += ended.eq(1)

    def _address(self, m: Module, records: BoxRecords) -> tuple[Value, Value, Value]:
        """Return region and offset of what is addressed, and whether the next cycle has the address of records.

        One adder makes both addresses: those of the tables until these are there.
        """
        unit, head = self.unit, self.unit.descriptor
        if not self.params.heads:
            return head.region, head.offset, unit.start
        loads = Signal()
        with m.If(unit.start):
            m.d.sync += loads.eq(1)
        with m.Elif(self.loaded):
            m.d.sync += loads.eq(0)
        m.d.comb += self.scan.origin.eq(records.address)
        tables = named(m, (unit.start | loads) & ~self.loaded, "of_tables")
        region, offset = (
            Mux(tables, head.parameters_region, head.region),
            Mux(tables, head.parameters_offset, head.offset),
        )
        return region, offset, self.loaded

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
