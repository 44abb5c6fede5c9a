"""Reads the engine's program, checks its header and hands each descriptor to the queue of its unit."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream

from roundel.golden.engine import (
    COMMON,
    DESCRIPTOR_BYTES,
    HEADER_BYTES,
    MAGIC,
    VERSION,
    EngineParams,
    ErrorCode,
    Opcode,
)
from roundel.golden.engine import UNITS as NAMES_OF_UNITS
from roundel.hw.axi import command_layout, read_layout
from roundel.hw.engine.dispatch import NUMBER, piece_layout
from roundel.hw.engine.ports import OUTER_ADDRESS
from roundel.hw.lib import Component, In, Out, named

UNITS = tuple(NAMES_OF_UNITS.values())
"""Operations of the load unit, the compute unit and the store unit, in the order of tokens."""


def fault_layout() -> data.StructLayout:
    """Return what stops the engine, as its registers have it; `code` 0: nothing."""
    return data.StructLayout({"code": 4, "address": OUTER_ADDRESS, "number": NUMBER})


class FetchState(enum.Enum, shape=2):  # type: ignore[call-arg, misc]
    """Where in the program."""

    __qualname__ = "State"  # its name in the Verilog

    START = 0
    HEADER = 1
    CHECK = 2
    DESCRIPTORS = 3


class Fetch(Component):
    """Begins after reset, and reads on until END, or until something is wrong. One bus beat per cycle.

    Descriptors are asked for one by one, as far ahead as the reader takes commands, the first one with the header. A
    descriptor waits for its unit's queue, and those behind it wait with it.

    Parameters
    ----------
    params
        The engine's.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            base=In(OUTER_ADDRESS, "Address of the program."),
            command=Out(stream.Signature(command_layout()), "Transfers, for a channel of the bus reader."),
            data=In(stream.Signature(read_layout(params.bus)), "Beats, from that channel."),
            pieces=Out(
                stream.Signature(piece_layout(params)), "Descriptors for each of `UNITS`, first beat first."
            ).array(len(UNITS)),
            number=Out(NUMBER, "Number of the descriptor that comes next or is coming."),
            ended=Out(1, "The program's END was reached, and all before it handed on."),
            moving=Out(1, "A beat of a descriptor is taken."),
            fault=Out(fault_layout(), "What is wrong with the program; held."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        state, fault = Signal(FetchState), Signal(fault_layout())
        fields = {"magic": 32, "version": 16, "size": 16, "fingerprint": 32, "count": 32}
        header = Signal(data.StructLayout(fields), reset_less=True)
        checked = Signal()
        m.d.comb += self.fault.eq(fault)
        self._ask(m, state, header.count, checked)
        with m.If(state == FetchState.START):
            m.d.sync += state.eq(FetchState.HEADER)
        with m.Elif(state == FetchState.HEADER):
            m.d.comb += self.data.ready.eq(1)
            with m.If(self._keep(m, header.as_value())):
                m.d.sync += state.eq(FetchState.CHECK)
        with m.Elif(state == FetchState.CHECK):
            m.d.comb += checked.eq(self._sound(m, header, fault))
            with m.If(checked):
                m.d.sync += state.eq(FetchState.DESCRIPTORS)
        with m.Else():
            self._hand_on(m, header.count, fault)
        return m

    def _ask(self, m: Module, state: Signal, count: Signal, checked: Signal) -> None:
        """Ask for header and first descriptor at once, then for as many descriptors as it says, up to END."""
        address, left, first = Signal(OUTER_ADDRESS), Signal.like(count), Signal(init=1)
        size = Mux(first, HEADER_BYTES, DESCRIPTOR_BYTES)
        more = Mux(state == FetchState.DESCRIPTORS, (left != 1) & ~self.ended, first)
        m.d.comb += [self.command.p.address.eq(address), self.command.p.bytes.eq(size)]
        with m.If(self.command.valid & self.command.ready):
            m.d.sync += [address.eq(address + size), left.eq(left - 1), first.eq(0)]
            m.d.sync += self.command.valid.eq(more)
        with m.If(state == FetchState.START):
            m.d.sync += [address.eq(self.base), self.command.valid.eq(1)]
        with m.If(checked):
            m.d.sync += [left.eq(count - 1), self.command.valid.eq(count[1:].any())]

    def _keep(self, m: Module, header: Value) -> Value:
        """Keep the header's first bytes; returns whether this was its last beat."""
        bus, place = self.params.bus, Signal(range(8 * HEADER_BYTES // self.params.bus))
        with m.If(self.data.valid):
            m.d.sync += place.eq(place + 1)
        for index in range(-(-len(header) // bus)):
            with m.If(self.data.valid & (place == index)):
                m.d.sync += header[index * bus : (index + 1) * bus].eq(self.data.p.data)
        return self.data.valid & self.data.p.last

    def _sound(self, m: Module, header: data.View, fault: data.View) -> Value:
        """Whether the header is one for this engine; the first thing that is not becomes the fault."""
        wanted = (
            (ErrorCode.MAGIC, header.magic, MAGIC),
            (ErrorCode.VERSION, header.version, VERSION),
            (ErrorCode.VERSION, header.size, DESCRIPTOR_BYTES),
            (ErrorCode.CONFIG, header.fingerprint, self.params.fingerprint),
        )
        for code, actual, value in reversed(wanted):
            with m.If(actual != value):
                m.d.sync += [fault.code.eq(code), fault.address.eq(actual)]
        return Cat(actual == value for _, actual, value in wanted).all()

    def _hand_on(self, m: Module, count: Value, fault: data.View) -> None:
        """Beat by beat through a register, to the unit that the first beat's operation names."""
        layout = piece_layout(self.params)
        piece, there, unit = Signal(layout, reset_less=True), Signal(), Signal(range(len(UNITS)))
        place = Signal.like(piece.place)  # of the next beat
        known, target = self._target(m)
        free = named(m, Cat(~there, *(port.valid & port.ready for port in self.pieces)).any(), "free")
        go = named(m, free & self.data.valid & ~self.ended & ~fault.code.any(), "go")
        first = named(m, place == 0, "first")
        end = named(m, self.data.p.data[: COMMON[0].bits] == Opcode.END, "end")
        m.d.comb += [
            self.data.ready.eq(go & (~first | known)),
            self.moving.eq(self.data.ready),
            *(port.valid.eq(there & (unit == index)) for index, port in enumerate(self.pieces)),
            *(port.p.eq(piece) for port in self.pieces),
        ]
        with m.If(free):
            m.d.sync += there.eq(self.data.ready)
        with m.If(self.data.ready):
            m.d.sync += [piece.data.eq(self.data.p.data), piece.place.eq(place), piece.last.eq(place.all())]
            m.d.sync += [piece.number.eq(self.number), place.eq(place + 1), self.number.eq(self.number + place.all())]
        with m.If(self.data.ready & first):
            m.d.sync += unit.eq(target)
        with m.If(go & first & end):
            m.d.sync += self.ended.eq(1)
        with m.Elif(go & first & ~known):
            where = self.base + Cat(Const(HEADER_BYTES, DESCRIPTOR_BYTES.bit_length() - 1), self.number)
            m.d.sync += [fault.code.eq(ErrorCode.OPCODE), fault.address.eq(where), fault.number.eq(self.number)]
        with m.Elif(first & (self.number == count) & ~self.ended & ~fault.code.any()):
            m.d.sync += [fault.code.eq(ErrorCode.TRUNCATED), fault.address.eq(count), fault.number.eq(count)]

    def _target(self, m: Module) -> tuple[Value, Value]:
        """Whether the operation of a first beat is one of a unit that there is, and which unit."""
        opcode, known, target = self.data.p.data[: COMMON[0].bits], Signal(), Signal(range(len(UNITS)))
        for index, opcodes in enumerate(UNITS):
            for operation in opcodes:
                if operation is not Opcode.BOXES or self.params.nms is not None:
                    with m.If(opcode == operation):
                        m.d.comb += [known.eq(1), target.eq(index)]
        return known, target
