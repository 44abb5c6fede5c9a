"""Writes a layer's results to the activation memory."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.engine_params import EngineParams
from golden.program import Opcode
from hw.engine_ports import keep_busy, unit_port, word, write_port
from hw.engine_tile_walker import TileWalker


class Target(wiring.Component):
    """Takes results from the cycle after `start` on, one a cycle, and writes each in the cycle in which it comes.

    A layer of N results that never waits: N writes in cycles 1 to N after `start`, `done` in cycle N + 1; after a last
    result that comes later, `done` is in the next cycle.

    Parameters
    ----------
    params
        The engine.

    Members
    -------
    unit : In(unit_port(Opcode.COMPUTE))
        `done` when all results are in the memory.
    results : In(stream.Signature(word(params)))
        In the order of docs/engine.md.
    memory : Out(write_port(params))
    """

    unit: wiring.PureInterface
    results: stream.Interface
    memory: wiring.PureInterface

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            {
                "unit": In(unit_port(Opcode.COMPUTE)),
                "results": In(stream.Signature(word(params))),
                "memory": Out(write_port(params)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = TileWalker(self.params, "target")
        request, unit = self.memory.request, self.unit
        written = request.valid & request.ready
        m.d.comb += [
            walker.start.eq(unit.start),
            walker.descriptor.eq(unit.descriptor),
            request.valid.eq(walker.addresses.valid & self.results.valid),
            request.p.address.eq(walker.addresses.payload),
            request.p.data.eq(self.results.payload),
            walker.addresses.ready.eq(request.ready & self.results.valid),
            self.results.ready.eq(request.ready & walker.addresses.valid),
        ]
        m.d.sync += unit.done.eq(written & walker.last)
        keep_busy(m, unit)
        return m
