"""Registers behind an AXI4-Lite slave."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from roundel.golden.registers import BYTES, Access, Register
from roundel.hw.axi.signatures import LITE_DATA, OKAY, SLVERR, lite_signature
from roundel.hw.lib import Component, In, Out, Port


def check_table(table: Sequence[Register], address_width: int) -> None:
    """Raise `ValueError` unless a register file can be made of this table."""
    taken: dict[int, str] = {}
    names = ["bus"]
    for register in table:
        for word in register.words:
            if word in taken:
                raise ValueError(f"{register.name} is at the address of {taken[word]}, {BYTES * word:#x}")
            if word >= 1 << address_width - 2:
                raise ValueError(f"{register.name} is beyond {address_width} bits of address")
            taken[word] = register.name
        if register.name in names:
            raise ValueError(f"a second member {register.name}")
        names.append(register.name)


def register_port(register: Register) -> Port:
    """Return the port of a register: an input for `Access.READ`, else an output."""
    doc = f"Register `{register.name}`: {register.meaning or register.access}."
    if register.access is Access.READ:
        return In(register.width, doc)
    return Out(register.width, doc, init=register.init)


class RegisterFile(Component):
    """Answers each read and each write with OKAY, or SLVERR where the table has nothing (and reads 0 there).

    Reading and writing are independent; an address and its data may come in any order. An answer is there two cycles
    after its request; a read is taken every three cycles at most, a write every two.

    Beside `bus` each register has a port under its name, see `register_port`.

    Parameters
    ----------
    table
        Registers, at different addresses, with different names.
    address_width
        Bits of an address in bytes.
    """

    def __init__(self, table: Sequence[Register], *, address_width: int = 8):
        self.table = tuple(table)
        check_table(self.table, address_width)
        super().__init__(
            bus=In(lite_signature(address_width), "The slave's side of AXI4-Lite."),
            **{register.name: register_port(register) for register in self.table},
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        self._read(m)
        write, address, written, ones = self._write(m)
        known = Signal()
        for register in self.table:
            value = getattr(self, register.name)
            if register.access is Access.ACT:
                m.d.sync += value.eq(0)
            for index, word in enumerate(register.words):
                here = address == word
                with m.If(here):
                    m.d.comb += known.eq(1)
                part = value[LITE_DATA * index : LITE_DATA * (index + 1)]
                if register.access is not Access.READ:
                    kept = 0 if register.access is Access.ACT else part & ~ones
                    with m.If(write & here):
                        m.d.sync += part.eq(kept | (written & ones))
        with m.If(write):
            m.d.sync += self.bus.bresp.eq(Mux(known, OKAY, SLVERR))
        return m

    def _read(self, m: Module) -> None:
        bus = self.bus
        address, held = Signal(len(bus.araddr) - 2, reset_less=True), Signal()
        found, known = Signal(LITE_DATA), Signal()
        for register in self.table:
            value = getattr(self, register.name)
            for index, word in enumerate(register.words):
                with m.If(address == word):
                    m.d.comb += known.eq(1)
                    if register.access is not Access.ACT:
                        m.d.comb += found.eq(value[LITE_DATA * index : LITE_DATA * (index + 1)])
        m.d.comb += bus.arready.eq(~held & ~bus.rvalid)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [address.eq(bus.araddr[2:]), held.eq(1)]
        with m.If(held):
            m.d.sync += [held.eq(0), bus.rvalid.eq(1), bus.rdata.eq(found), bus.rresp.eq(Mux(known, OKAY, SLVERR))]
        with m.If(bus.rvalid & bus.rready):
            m.d.sync += bus.rvalid.eq(0)

    def _write(self, m: Module) -> tuple[Value, Value, Value, Value]:
        """Return the moment of a write, its word address, its data, and ones for the bits of the bytes it names."""
        bus = self.bus
        address, addressed = Signal(len(bus.awaddr) - 2, reset_less=True), Signal()
        written, there = Signal(LITE_DATA, reset_less=True), Signal()
        strobes = Signal(BYTES, reset_less=True)
        write = Signal()
        m.d.comb += [
            bus.awready.eq(~addressed),
            bus.wready.eq(~there),
            write.eq(addressed & there & ~bus.bvalid),
        ]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [address.eq(bus.awaddr[2:]), addressed.eq(1)]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [written.eq(bus.wdata), strobes.eq(bus.wstrb), there.eq(1)]
        with m.If(write):
            m.d.sync += [addressed.eq(0), there.eq(0), bus.bvalid.eq(1)]
        with m.If(bus.bvalid & bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        return write, address, written, Cat(strobe.replicate(8) for strobe in strobes)
