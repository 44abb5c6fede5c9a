"""Both AXI masters, and a register file, behind ports with the standard names as the top of an accelerator."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import stream, wiring

from roundel.hw.axi import (
    Access,
    ReadMaster,
    Register,
    RegisterFile,
    WriteMaster,
    attach,
    command_layout,
    lite_signature,
    ports,
    read_layout,
    read_signature,
    write_layout,
    write_signature,
)
from roundel.hw.axi.signatures import ADDRESS
from roundel.hw.lib import Component, In, Out


class AxiMasters(Component):
    """`stop` stops both, `idle` says that both are."""

    def __init__(self, *, data_width: int, channels: int, burst: int, outstanding: int, fifo: int):
        keywords = {"data_width": data_width, "burst": burst, "outstanding": outstanding, "fifo": fifo}
        self.read = ReadMaster(channels=channels, **keywords)
        self.write = WriteMaster(**keywords)
        super().__init__(
            **ports("m_axi", read_signature(data_width)),
            **ports("m_axi", write_signature(data_width)),
            commands=In(stream.Signature(command_layout()), "Transfers to read.").array(channels),
            outputs=Out(stream.Signature(read_layout(data_width)), "Beats read.").array(channels),
            stores=In(stream.Signature(unsigned(ADDRESS)), "Transfers to write."),
            inputs=In(stream.Signature(write_layout(data_width)), "Beats to write."),
            done=Out(1, "A transfer was written."),
            stop=In(1, "Stop both masters."),
            idle=Out(1, "Both masters are idle."),
            read_error=Out(1, "A read failed."),
            read_address=Out(ADDRESS, "Address of the failed read."),
            read_channel=Out(8, "Channel of the failed read."),
            write_error=Out(1, "A write failed."),
            write_address=Out(ADDRESS, "Address of the failed write."),
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.read, m.submodules.write = read, write = self.read, self.write
        attach(m, self, "m_axi", read.bus)
        attach(m, self, "m_axi", write.bus)
        for number in range(read.channels):
            wiring.connect(m, read.commands[number], wiring.flipped(self.commands[number]))
            wiring.connect(m, wiring.flipped(self.outputs[number]), read.outputs[number])
        wiring.connect(m, write.commands, wiring.flipped(self.stores))
        wiring.connect(m, write.inputs, wiring.flipped(self.inputs))
        m.d.comb += [
            read.stop.eq(self.stop),
            write.stop.eq(self.stop),
            self.idle.eq(read.idle & write.idle),
            self.done.eq(write.done),
            self.read_error.eq(read.error),
            self.read_address.eq(read.error_address),
            self.read_channel.eq(read.error_channel),
            self.write_error.eq(write.error),
            self.write_address.eq(write.error_address),
        ]
        return m


TABLE = (
    Register(name="identity", offset=0x00, access=Access.READ),
    Register(name="control", offset=0x04, access=Access.ACT, width=11),
    Register(name="enable", offset=0x08, access=Access.WRITE, width=1),
    Register(name="base", offset=0x10, access=Access.WRITE, init=0x1234_5678),
    Register(name="wide", offset=0x18, access=Access.WRITE, width=41, init=1 << 40),
    Register(name="counter", offset=0x20, access=Access.READ, width=64),
    Register(name="code", offset=0x3C, access=Access.READ, width=5),
)


class AxiRegisters(Component):
    """Registers of all kinds."""

    def __init__(self) -> None:
        self.inner = RegisterFile(TABLE, address_width=8)
        registers = {register.name: self.inner.ports[register.name] for register in TABLE}
        super().__init__(**ports("s_axi", lite_signature(8).flip()), **registers)

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = self.inner
        attach(m, self, "s_axi", inner.bus)
        for register in TABLE:
            outside, inside = getattr(self, register.name), getattr(inner, register.name)
            m.d.comb += inside.eq(outside) if register.access is Access.READ else outside.eq(inside)
        return m
