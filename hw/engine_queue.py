"""The descriptors of one unit of the engine: the one it works on, and the next."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.engine_params import EngineParams
from golden.program import COMMON, DESCRIPTOR_BYTES, FIELDS, Opcode

NUMBER = 24  # bits of a descriptor's number in its program


def piece_layout(params: EngineParams) -> data.StructLayout:
    """A bus beat of a descriptor: its data, which beat it is, whether it is the last, and the descriptor's number."""
    pieces = 8 * DESCRIPTOR_BYTES // params.bus
    return data.StructLayout({"data": params.bus, "place": range(pieces), "last": 1, "number": NUMBER})


def width(opcodes: tuple[Opcode, ...]) -> int:
    """Bits of a descriptor of any of these operations, without the spare ones behind its fields."""
    return max(sum(item.bits for item in FIELDS[opcode]) for opcode in opcodes)


class DescriptorQueue(wiring.Component):
    """Beats fill `waiting`; a whole one moves to `present` when that is free, or with `take`, a cycle later.

    Parameters
    ----------
    params
        The engine's.
    opcodes
        Operations of the unit; the widest of them decides how much of a descriptor is kept.

    Members
    -------
    pieces : In(stream.Signature(piece_layout(params)))
    present, waiting : Out(bits)
        Descriptors from bit 0 on. `waiting` is defined while `waiting_valid`, and changes only after it moved.
    present_valid, waiting_valid : Out(1)
        They are there, whole.
    present_number, waiting_number : Out(24)
    present_boxes, waiting_boxes : Out(1)
        It is a BOXES descriptor.
    move : Out(1)
        `present` takes `waiting` with the coming clock edge.
    take : In(1)
        The unit is through with `present`.
    """

    def __init__(self, params: EngineParams, opcodes: tuple[Opcode, ...]):
        self.params = params
        bits = unsigned(width(opcodes))
        super().__init__(
            {
                "pieces": In(stream.Signature(piece_layout(params))),
                "present": Out(bits),
                "waiting": Out(bits),
                "present_valid": Out(1),
                "waiting_valid": Out(1),
                "present_number": Out(NUMBER),
                "waiting_number": Out(NUMBER),
                "present_boxes": Out(1),
                "waiting_boxes": Out(1),
                "move": Out(1),
                "take": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        piece, bus = self.pieces.p, self.params.bus
        waiting = Signal.like(self.waiting, reset_less=True)
        present = Signal.like(self.present, reset_less=True)
        m.d.comb += [
            self.pieces.ready.eq(~self.waiting_valid),
            self.waiting.eq(waiting),
            self.present.eq(present),
            self.move.eq(self.waiting_valid & (~self.present_valid | self.take)),
        ]
        with m.If(self.pieces.valid & self.pieces.ready):
            for place in range(-(-len(waiting) // bus)):
                with m.If(piece.place == place):
                    m.d.sync += waiting[place * bus : (place + 1) * bus].eq(piece.data)
            m.d.sync += [self.waiting_valid.eq(piece.last), self.waiting_number.eq(piece.number)]
            with m.If(piece.place == 0):
                m.d.sync += self.waiting_boxes.eq(piece.data[: COMMON[0].bits] == Opcode.BOXES)
        with m.If(self.take):
            m.d.sync += self.present_valid.eq(0)
        with m.If(self.move):
            m.d.sync += [present.eq(waiting), self.present_number.eq(self.waiting_number)]
            m.d.sync += self.present_boxes.eq(self.waiting_boxes)
            m.d.sync += [self.present_valid.eq(1), self.waiting_valid.eq(0)]
        return m
