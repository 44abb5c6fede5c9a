"""Takes runs of bytes from the activation memory to the outer memory."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring

from roundel.golden.engine import EngineParams, Opcode, Region
from roundel.hw.axi import write_layout
from roundel.hw.engine.move.runs import Runs
from roundel.hw.engine.ports import OUTER_ADDRESS, read_port, unit_port
from roundel.hw.engine.reader import WordReader
from roundel.hw.lib import Component, Gearbox, In, Out, named


class Store(Component):
    """One command for every run, and exactly its bytes; words are read ahead.

    Commands are offered from the second cycle after `start` on, the first word comes to the gearbox in cycle 6. With W
    words and B beats in all runs together, the last beat goes in cycle `6 + max(W, B)` after `start` if nothing
    waits: a word or a beat in every cycle in between, whichever are more. `done` is in the cycle after the last
    `written`.

    Parameters
    ----------
    params
        The engine.
    """

    PENDING = 16  # bits; a bus writer holds fewer commands, as each has a beat in its FIFO or on its way

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            unit=In(unit_port(Opcode.STORE), "The unit's descriptor; `done` when the bus has answered all of it."),
            bases=In(OUTER_ADDRESS, "Addresses of the regions in the outer memory.").array(len(Region)),
            memory=Out(read_port(params), "Reads words of the activation memory."),
            command=Out(stream.Signature(unsigned(OUTER_ADDRESS)), "Addresses of the runs."),
            data=Out(stream.Signature(write_layout(params.bus)), "Beats of the runs."),
            written=In(1, "For one cycle: a command's data are in the outer memory."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.runs = runs = Runs(self.params)
        m.d.comb += [
            runs.start.eq(self.unit.start),
            runs.descriptor.eq(self.unit.descriptor),
            *(inner.eq(base) for inner, base in zip(runs.bases, self.bases, strict=True)),
        ]
        wiring.connect(m, runs.outer, wiring.flipped(self.command))
        self._move(m, runs)
        self._finish(m, runs)
        return m

    def _move(self, m: Module, runs: Runs) -> None:
        """Words of the memory become beats."""
        m.submodules.reader = reader = WordReader(self.params)
        m.submodules.gearbox = gearbox = Gearbox(source=self.params.lanes, target=self.params.bus_bytes)
        lanes, words, beats = self.params.lanes, reader.words, gearbox.outputs
        wiring.connect(m, reader.memory, wiring.flipped(self.memory))
        all_lanes = Const(-1, unsigned(lanes))
        tail = (self.unit.descriptor.run_bytes - 1)[: lanes.bit_length() - 1]  # bytes of a run's last word, less one
        some = Signal(lanes, reset_less=True)
        m.d.sync += some.eq(~(all_lanes << 1 << tail))
        m.d.comb += [
            reader.addresses.valid.eq(runs.words.valid),
            reader.addresses.p.value.eq(runs.words.payload),
            reader.addresses.p.mark.eq(runs.run_ends),
            runs.words.ready.eq(reader.addresses.ready),
            gearbox.inputs.valid.eq(words.valid),
            gearbox.inputs.p.data.eq(words.p.value),
            gearbox.inputs.p.keep.eq(Mux(words.p.mark, some, all_lanes)),
            gearbox.inputs.p.last.eq(words.p.mark),
            words.ready.eq(gearbox.inputs.ready),
            self.data.valid.eq(beats.valid),
            self.data.p.data.eq(beats.p.data),
            self.data.p.strb.eq(beats.p.keep),
            self.data.p.last.eq(beats.p.last),
            beats.ready.eq(self.data.ready),
        ]

    def _finish(self, m: Module, runs: Runs) -> None:
        """Count commands that were given and not answered."""
        unit, pending, all_given = self.unit, Signal(self.PENDING), Signal()
        given = named(m, self.command.valid & self.command.ready, "given")
        m.d.sync += [
            pending.eq(pending + given - self.written),
            unit.done.eq(self.written & all_given & (pending == 1)),
        ]
        with m.If(unit.start):
            m.d.sync += [unit.busy.eq(1), all_given.eq(0)]
        with m.Elif(given & runs.outer_last):
            m.d.sync += all_given.eq(1)
        with m.Elif(unit.done):
            m.d.sync += unit.busy.eq(0)
