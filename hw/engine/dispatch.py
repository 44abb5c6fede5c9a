"""Dispatch of descriptors to the units: a queue for each, tokens between neighbours, a watchdog over all."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream

from roundel.golden.engine import COMMON, DESCRIPTOR_BYTES, TOKEN_FLAGS, EngineParams, Opcode, known_fields
from roundel.hw.engine.ports import units_of
from roundel.hw.lib import Component, In, Out, named

NUMBER = 24  # bits of a descriptor's number in its program


def piece_layout(params: EngineParams) -> data.StructLayout:
    """Return a bus beat of a descriptor: data, number of the beat, whether it is the last, number of the descriptor."""
    pieces = 8 * DESCRIPTOR_BYTES // params.bus
    return data.StructLayout({"data": params.bus, "place": range(pieces), "last": 1, "number": NUMBER})


def width(params: EngineParams, opcodes: tuple[Opcode, ...]) -> int:
    """Bits of a descriptor of any of these operations, without the spare ones behind the fields that count."""
    known = units_of(params) | {"heads": bool(params.heads)}
    fields = (known_fields(opcode, **known) for opcode in opcodes)
    return max(sum(item.bits for item in items) for items in fields)


class DescriptorQueue(Component):
    """Beats fill `waiting`; a whole one moves to `present` when that is free, or with `take`, a cycle later.

    Parameters
    ----------
    params
        The engine's.
    opcodes
        Operations of the unit; the widest of them decides how much of a descriptor is kept.
    """

    def __init__(self, params: EngineParams, opcodes: tuple[Opcode, ...]):
        self.params = params
        bits = unsigned(width(params, opcodes))
        super().__init__(
            pieces=In(stream.Signature(piece_layout(params)), "Beats of descriptors."),
            present=Out(bits, "The descriptor at work or next to start, from bit 0 on."),
            waiting=Out(
                bits,
                "The descriptor behind it, from bit 0 on. Defined while `waiting_valid`, and changes only after it "
                "moved.",
            ),
            present_valid=Out(1, "`present` is there, whole."),
            waiting_valid=Out(1, "`waiting` is there, whole."),
            present_number=Out(NUMBER, "Number of `present`."),
            waiting_number=Out(NUMBER, "Number of `waiting`."),
            present_boxes=Out(1, "`present` is a BOXES descriptor."),
            waiting_boxes=Out(1, "`waiting` is a BOXES descriptor."),
            move=Out(1, "`present` takes `waiting` with the coming clock edge."),
            take=In(1, "The unit is through with `present`."),
        )

    def elaborate(self, platform: Any) -> Module:
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


WIDTH = 8  # bits of a count of tokens


def flags_layout() -> data.StructLayout:
    """Return the tokens of a descriptor, in the order of their bits."""
    return data.StructLayout(
        dict.fromkeys(TOKEN_FLAGS, 1),
    )


class Tokens(Component):
    """Counts tokens between neighbouring units. A unit starts two cycles after its last token was given.

    There are none at the outer ends: a descriptor that waits for one of those never starts.

    Parameters
    ----------
    units
        How many, in the order of the engine's units.
    """

    def __init__(self, units: int):
        self.units = units
        super().__init__(
            there=In(units, "Units with a descriptor at the head of their queue; it stays until `done`."),
            flags=In(flags_layout(), "Tokens that the unit's descriptor waits for and gives.").array(units),
            done=In(units, "Units that are through with their descriptor; it leaves the queue."),
            start=Out(units, "For one cycle: all tokens that the unit waits for are there, and taken."),
            active=Out(units, "Units from `start` to `done`."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        running = Signal(self.units)
        go = [Signal(name=f"go_{unit}") for unit in range(self.units)]
        m.d.comb += self.active.eq(running)
        for unit in range(self.units):
            m.d.sync += self.start[unit].eq(go[unit])
            with m.If(go[unit]):
                m.d.sync += running[unit].eq(1)
            with m.Elif(self.done[unit]):
                m.d.sync += running[unit].eq(0)
        forth = [self._count(m, unit, unit + 1, go) for unit in range(self.units - 1)]
        back = [self._count(m, unit + 1, unit, go) for unit in range(self.units - 1)]
        for unit, flags in enumerate(self.flags):
            before = forth[unit - 1] if unit else 0
            behind = back[unit] if unit < self.units - 1 else 0
            free = self.there[unit] & ~running[unit]
            m.d.comb += go[unit].eq(free & (~flags.wait_previous | before) & (~flags.wait_next | behind))
        return m

    def _count(self, m: Module, giver: int, taker: int, go: list[Signal]) -> Value:
        """Whether there are tokens that one unit gave to its neighbour and that were not taken."""
        forth = taker > giver
        signal, wait = ("signal_next", "wait_previous") if forth else ("signal_previous", "wait_next")
        given = named(m, self.done[giver] & self.flags[giver][signal], f"given_by_{giver}_to_{taker}")
        taken = named(m, go[taker] & self.flags[taker][wait], f"taken_by_{taker}_from_{giver}")
        count, some = Signal(WIDTH, name=f"from_{giver}_to_{taker}"), Signal(name=f"some_from_{giver}_to_{taker}")
        with m.If(given & ~taken & ~count.all()):
            m.d.sync += [count.eq(count + 1), some.eq(1)]
        with m.Elif(taken & ~given):
            m.d.sync += [count.eq(count - 1), some.eq(count != 1)]
        return some


QUIET = 256  # cycles without anything while no unit has work: they wait for tokens that nobody will give
PATIENCE = 1 << 16  # cycles without anything while one has: longer than the box unit is ever busy with itself


class Watchdog(Component):
    """Counts cycles in which nothing happened."""

    def __init__(self) -> None:
        super().__init__(
            progress=In(1, "Something moved, or the bus owes an answer."),
            active=In(1, "A unit has a descriptor at work."),
            expired=Out(1, "Nothing happened for too long; held."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        moved, count = Signal(), Signal(range(PATIENCE))
        m.d.sync += [moved.eq(self.progress), count.eq(Mux(moved, 0, count + 1))]
        with m.If(~moved & Mux(self.active, count.all(), count[QUIET.bit_length() - 1 :].any())):
            m.d.sync += self.expired.eq(1)
        return m
