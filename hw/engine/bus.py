"""The engine's side of the outer memory: both AXI4 masters, and the unit that writes."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import stream, wiring

from roundel.golden.engine import EngineParams
from roundel.hw.axi import (
    ReadMaster,
    WriteMaster,
    command_layout,
    read_layout,
    read_signature,
    write_layout,
    write_signature,
)
from roundel.hw.engine.ports import OUTER_ADDRESS
from roundel.hw.lib import Component, In, Out, named, select

OPEN = 6  # bits of the number of transfers that are not answered


def writer_port(params: EngineParams) -> wiring.Signature:
    """How a unit writes: a command for each transfer, then its beats; `written` for a cycle when they are in memory."""
    return wiring.Signature(
        {
            "command": wiring.Out(stream.Signature(unsigned(OUTER_ADDRESS))),
            "data": wiring.Out(stream.Signature(write_layout(params.bus))),
            "written": wiring.In(1),
        }
    )


class Writes(Component):
    """Passes the port of one unit through, without a register; another unit's turn comes when all is answered.

    Parameters
    ----------
    params
        The engine's.
    units
        How many; a lower one goes before a higher one.
    """

    def __init__(self, params: EngineParams, units: int):
        port = writer_port(params)
        super().__init__(
            units=In(port, "How the units write.").array(units),
            writer=Out(port, "The bus writer."),
            owner=Out(range(max(2, units)), "The unit whose turn it is."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        command, data = self.writer.command, self.writer.data
        pending, wanted = Signal(OPEN), Cat(unit.command.valid for unit in self.units)
        room = named(m, ~pending.all(), "room")
        own = [named(m, self.owner == index, f"own_{index}") for index in range(len(wanted))]
        for unit, chosen in zip(self.units, own, strict=True):
            m.d.comb += [
                unit.command.ready.eq(chosen & room & command.ready),
                unit.data.ready.eq(chosen & data.ready),
                unit.written.eq(chosen & self.writer.written),
            ]
        m.d.comb += [
            command.valid.eq((wanted & Cat(own)).any() & room),
            command.payload.eq(select([unit.command.payload for unit in self.units], self.owner)),
            data.valid.eq((Cat(unit.data.valid for unit in self.units) & Cat(own)).any()),
            data.payload.eq(select([Value.cast(unit.data.payload) for unit in self.units], self.owner)),
        ]
        m.d.sync += pending.eq(pending + (command.valid & command.ready) - self.writer.written)
        for index in reversed(range(len(wanted))):
            with m.If(~(wanted & Cat(own)).any() & ~pending.any() & wanted[index]):
                m.d.sync += self.owner.eq(index)
        return m


FETCH, LOAD, PARAMETERS, WEIGHTS = range(4)
"""Channels of the reader."""
STORE, BOXES = range(2)
"""Writers."""


class EngineBus(Component):
    """Four readers, and writers that take turns.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        self.writes = Writes(params, 1 if params.nms is None else 2)
        super().__init__(
            read=Out(read_signature(params.bus), "Channels AR and R of an AXI4 master."),
            write=Out(write_signature(params.bus), "Channels AW, W and B of an AXI4 master."),
            commands=In(
                stream.Signature(command_layout()),
                "Transfers to read by channel, see `roundel.hw.axi.read.ReadMaster`.",
            ).array(4),
            outputs=Out(
                stream.Signature(read_layout(params.bus)),
                "Beats read by channel, see `roundel.hw.axi.read.ReadMaster`.",
            ).array(4),
            writers=In(writer_port(params), "How STORE writes, and BOXES if the engine has it.").array(
                len(self.writes.units)
            ),
            idle_array=In(1, "The array has nothing to do: weights are not asked for before what LOAD asks for."),
            stop=In(1, "Begin nothing more."),
            idle=Out(1, "No answer is owed."),
            read_error=Out(1, "A beat read came with another response than OKAY; held."),
            read_address=Out(OUTER_ADDRESS, "Address of the first such beat, held."),
            channel=Out(2, "Channel of the first such beat, held."),
            write_error=Out(1, "A burst written was answered with another response than OKAY; held."),
            write_address=Out(OUTER_ADDRESS, "Address of the first such burst, held."),
            writer=Out(1, "Writer of the first such burst, held."),
            beats=Out(2, "Bit 0: a beat is read in this cycle; bit 1: a beat is written."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params = self.params
        m.submodules.reader = reader = ReadMaster(
            data_width=params.bus,
            channels=len(self.commands),
            burst=params.burst,
            outstanding=params.outstanding,
            fifo=params.fifo,
        )
        m.submodules.writer = writer = WriteMaster(data_width=params.bus, burst=params.burst)
        m.submodules.writes = writes = self.writes
        wiring.connect(m, reader.bus, wiring.flipped(self.read))
        wiring.connect(m, writer.bus, wiring.flipped(self.write))
        for outer, inner in zip(self.commands, reader.commands, strict=True):
            wiring.connect(m, wiring.flipped(outer), inner)
        for outer, inner in zip(self.outputs, reader.outputs, strict=True):
            wiring.connect(m, inner, wiring.flipped(outer))
        for outer, inner in zip(self.writers, writes.units, strict=True):
            wiring.connect(m, wiring.flipped(outer), inner)
        wiring.connect(m, writes.writer.command, writer.commands)
        wiring.connect(m, writes.writer.data, writer.inputs)
        m.d.comb += [
            writes.writer.written.eq(writer.done),
            reader.stop.eq(self.stop),
            writer.stop.eq(self.stop),
            self.idle.eq(reader.idle & writer.idle),
            self.read_error.eq(reader.error),
            self.read_address.eq(reader.error_address),
            self.channel.eq(reader.error_channel),
            self.write_error.eq(writer.error),
            self.write_address.eq(writer.error_address),
            self.beats[0].eq(self.read.rvalid & self.read.rready),
            self.beats[1].eq(self.write.wvalid & self.write.wready),
        ]
        m.d.sync += reader.hold[WEIGHTS].eq(self.idle_array & reader.waiting[LOAD])
        with m.If(~writer.error):
            m.d.sync += self.writer.eq(writes.owner)
        return m
