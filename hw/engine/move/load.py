"""Brings runs of bytes from the outer memory to the activation memory."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream

from roundel.golden.engine import EngineParams, Opcode, Region
from roundel.hw.axi import command_layout, read_layout
from roundel.hw.engine.move.runs import Runs
from roundel.hw.engine.ports import OUTER_ADDRESS, keep_busy, unit_port, write_port
from roundel.hw.lib import Component, Gearbox, In, Out


class Load(Component):
    """One transfer for every run; its beats become words, the last one filled up with zeros.

    Transfers are asked for from the second cycle after `start` on, one a cycle, as long as the bus reader takes them:
    it can have the next run's beats ready when those of a run end. With W words and B beats in all runs together,
    and the first beat taken in cycle T, `done` is in cycle `T + max(W, B) + 1` if nothing waits: a beat is taken, or a
    word is written, in every cycle in between, whichever are more.

    Parameters
    ----------
    params
        The engine.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            unit=In(
                unit_port(Opcode.LOAD), "The unit's descriptor; `done` in the cycle after the last word was written."
            ),
            bases=In(OUTER_ADDRESS, "Addresses of the regions in the outer memory.").array(len(Region)),
            command=Out(stream.Signature(command_layout()), "Transfers, one a run."),
            data=In(stream.Signature(read_layout(params.bus)), "Beats of the transfers, in order."),
            memory=Out(write_port(params), "Writes words of the activation memory."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.runs = runs = Runs(self.params)
        m.submodules.gearbox = gearbox = Gearbox(source=self.params.bus_bytes, target=self.params.lanes)
        unit, request, words = self.unit, self.memory.request, gearbox.outputs
        m.d.comb += [
            runs.start.eq(unit.start),
            runs.descriptor.eq(unit.descriptor),
            *(inner.eq(base) for inner, base in zip(runs.bases, self.bases, strict=True)),
            self.command.valid.eq(runs.outer.valid),
            self.command.p.address.eq(runs.outer.payload),
            self.command.p.bytes.eq(unit.descriptor.run_bytes),
            runs.outer.ready.eq(self.command.ready),
            gearbox.inputs.valid.eq(self.data.valid),
            gearbox.inputs.payload.eq(self.data.payload),
            self.data.ready.eq(gearbox.inputs.ready),
            request.valid.eq(words.valid & runs.words.valid),
            request.p.address.eq(runs.words.payload),
            request.p.data.eq(words.p.data),
            words.ready.eq(request.ready & runs.words.valid),
            runs.words.ready.eq(request.ready & words.valid),
        ]
        m.d.sync += unit.done.eq(request.valid & request.ready & runs.words_last)
        keep_busy(m, unit)
        return m
