"""The words of a detector head's maps, location by location."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring

from roundel.golden.engine import EngineParams, Opcode
from roundel.hw.engine.ports import descriptor_layout, read_port, word
from roundel.hw.engine.reader import WordReader, tagged
from roundel.hw.lib import Component, In, Out, Walker


class BoxWords(Component):
    """For every location in row-major order the words of its logits, plane by plane, then that of its distances.

    One word a cycle. The words of the last location are all that follows a `start`: nothing stays behind.

    Parameters
    ----------
    params
        The engine's.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            start=In(1, "Begin, when all words of the scale before have been taken."),
            descriptor=In(descriptor_layout(Opcode.BOXES), "The descriptor; it stands still from `start` on."),
            memory=Out(read_port(params), "Reads words of the activation memory."),
            words=Out(stream.Signature(tagged(word(params))), "The words; a mark says that they are distances."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        boxes, shift = self.descriptor, self.params.lanes.bit_length() - 1
        m.submodules.reader = reader = WordReader(self.params)
        wiring.connect(m, reader.memory, wiring.flipped(self.memory))
        wiring.connect(m, reader.words, wiring.flipped(self.words))

        address = len(reader.addresses.p.value)
        grid = {"x": len(boxes.width), "y": len(boxes.height)}
        m.submodules.logits = logits = Walker(address=address, loops={"plane": len(boxes.classes)} | grid)
        m.submodules.distances = distances = Walker(address=address, loops=grid)
        begin, planes = Signal(), Signal.like(boxes.classes, reset_less=True)
        m.d.sync += [begin.eq(self.start), planes.eq((boxes.classes + self.params.lanes - 1) >> shift)]
        m.d.comb += [
            logits.base.eq(boxes.cls),
            logits.counts.plane.eq(planes),
            logits.steps.plane.eq(boxes.cls_plane),
            distances.base.eq(boxes.box),
        ]
        for walker in (logits, distances):
            m.d.comb += [
                walker.start.eq(begin),
                walker.counts.x.eq(boxes.width),
                walker.counts.y.eq(boxes.height),
                walker.steps.x.eq(1),
                walker.steps.y.eq(boxes.width),
            ]

        turn, asked = Signal(), reader.addresses  # of the distances
        with m.If(asked.valid & asked.ready):
            m.d.sync += turn.eq(~turn & logits.ends.plane)
        m.d.comb += [
            asked.valid.eq(Mux(turn, distances.addresses.valid, logits.addresses.valid)),
            asked.p.value.eq(Mux(turn, distances.addresses.payload, logits.addresses.payload)),
            asked.p.mark.eq(turn),
            logits.addresses.ready.eq(asked.ready & ~turn),
            distances.addresses.ready.eq(asked.ready & turn),
        ]
        return m
