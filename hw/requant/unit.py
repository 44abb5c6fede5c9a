"""The requantizer as a unit: any scheme's core behind one stream interface."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring

from roundel.golden.requant import RequantParams, Scheme
from roundel.hw.lib import Component, In, Out
from roundel.hw.requant.binary32 import FloatCore
from roundel.hw.requant.fixed import FixedCore, GemmlowpCore
from roundel.hw.requant.ports import result_layout, runtime_layout
from roundel.hw.requant.shift import ShiftCore
from roundel.hw.requant.table import TableCore

CORES = {
    Scheme.SHIFT_CONST: ShiftCore,
    Scheme.SHIFT: ShiftCore,
    Scheme.FIXED8: FixedCore,
    Scheme.FIXED16: FixedCore,
    Scheme.FIXED32: GemmlowpCore,
    Scheme.FLOAT32: FloatCore,
    Scheme.CODEBOOK: TableCore,
    Scheme.THRESHOLD: TableCore,
}


def requant_core(params: RequantParams) -> wiring.Component:
    """Return the operator without handshake: `acc`, `params` in, `data` (and `index`) out after `LATENCY` cycles.

    Cores with registers inside (`params.pipeline`) advance when `en` is 1.
    """
    return CORES[params.scheme](params)


class Requantizer(Component):
    """One requantizer with an output register, on streams. Latency `1 + core.LATENCY` cycles, one beat per cycle.

    Parameters
    ----------
    params
        Scheme, widths, rounding: see `RequantParams`.
    """

    def __init__(self, params: RequantParams):
        self.requant = params
        self.core = requant_core(params)
        self.latency = 1 + self.core.LATENCY
        layout = runtime_layout(params)
        frame = {"first": 1, "last": 1}
        payload = {"acc": self.core.acc.shape()} | ({"params": layout} if layout else {}) | frame
        super().__init__(
            inputs=In(
                stream.Signature(data.StructLayout(payload)),
                "Accumulators. `params` holds the scheme's run-time parameters and is missing where there are none; "
                "`first` and `last` pass through.",
            ),
            outputs=Out(
                stream.Signature(data.StructLayout(dict(result_layout(params).members) | frame)),
                "Results. `index` is there for `codebook` only.",
            ),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.core = core = self.core
        source, sink = self.inputs, self.outputs
        advance = Signal()
        m.d.comb += [advance.eq(sink.ready | ~sink.valid), source.ready.eq(advance), core.acc.eq(source.p.acc)]
        if hasattr(core, "params"):
            m.d.comb += core.params.eq(source.p.params)
        if hasattr(core, "en"):
            m.d.comb += core.en.eq(advance)

        frame = Cat(source.p.first, source.p.last)
        valid = source.valid
        for stage in range(core.LATENCY):
            next_frame = Signal(2, name=f"frame_{stage}", reset_less=True)
            next_valid = Signal(name=f"valid_{stage}")
            with m.If(advance):
                m.d.sync += [next_frame.eq(frame), next_valid.eq(valid)]
            frame, valid = next_frame, next_valid

        result = Signal(sink.payload.shape(), reset_less=True)
        with m.If(advance):
            m.d.sync += [sink.valid.eq(valid), Cat(result.first, result.last).eq(frame)]
            m.d.sync += [result[name].eq(getattr(core, name)) for name in result_layout(self.requant).members]
        m.d.comb += sink.payload.eq(result)
        return m
