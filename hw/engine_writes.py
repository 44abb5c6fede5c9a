"""Lets the units of the engine that write share the bus writer."""

from amaranth.hdl import Cat, Module, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.engine_params import EngineParams
from hw.arith import named, select
from hw.axi import write_layout
from hw.engine_ports import OUTER_ADDRESS

OPEN = 6  # bits of the number of transfers that are not answered


def writer_port(params: EngineParams) -> wiring.Signature:
    """How a unit writes: a command for each transfer, then its beats; `written` for a cycle when they are in memory."""
    return wiring.Signature(
        {
            "command": Out(stream.Signature(unsigned(OUTER_ADDRESS))),
            "data": Out(stream.Signature(write_layout(params.bus))),
            "written": In(1),
        }
    )


class Writes(wiring.Component):
    """Passes the port of one unit through, without a register; another unit's turn comes when all is answered.

    Parameters
    ----------
    params
        The engine's.
    units
        How many; a lower one goes before a higher one.

    Members
    -------
    units : In(writer_port(params)).array(units)
    writer : Out(writer_port(params))
    owner : Out(range(units))
        Whose port it is.
    """

    def __init__(self, params: EngineParams, units: int):
        port = writer_port(params)
        super().__init__({"units": In(port).array(units), "writer": Out(port), "owner": Out(range(max(2, units)))})

    def elaborate(self, platform):
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
