"""The decoder of sparse weights: a stream of bytes in, beats of dense weights out."""

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.codec_params import Packing
from golden.decoder import DecoderParams
from hw.decoder_frame import Frame, status_layout
from hw.decoder_levels import LevelTable
from hw.decoder_mask import MaskCore
from hw.decoder_relative import RelativeCore
from hw.decoder_rice import RiceCore
from hw.decoder_words import input_layout

CORES: Mapping[Packing, Callable[[DecoderParams], Any]] = {
    Packing.MASK: MaskCore,
    Packing.RELATIVE: RelativeCore,
    Packing.RICE: RiceCore,
}


def weights_layout(params: DecoderParams) -> data.StructLayout:
    """A beat of weights, lane 0 first; `zero`: all of them are 0, announced; `last` of the stream."""
    weights = data.ArrayLayout(signed(params.weight_width), params.lanes)
    return data.StructLayout({"weights": weights, "zero": 1, "last": 1})


class Decoder(wiring.Component):
    """Decodes streams one after the other. docs/decoder.md says what goes in and out, and how fast.

    Parameters
    ----------
    params
        See `golden.decoder.DecoderParams`.

    Members
    -------
    inputs : In(stream.Signature(input_layout(params)))
        The bytes of the streams, `last` with the last of each.
    outputs : Out(stream.Signature(weights_layout(params)))
        As many weights as the stream announces, zeros behind them up to a whole beat; fewer if it is damaged.
    status : Out(status_layout())
        After all weights of a stream: `done` for a cycle, with `error` and the `bit` where it is damaged.
    """

    latency = 1  # from the words of a beat to its weights

    def __init__(self, params: DecoderParams):
        self.params = params
        self.core = CORES[params.packing](params)
        self.frame = Frame(params, len(self.core.fault_bit))
        self.table = LevelTable(params.width, params.lanes) if params.table else None
        super().__init__(
            {
                "inputs": In(stream.Signature(input_layout(params))),
                "outputs": Out(stream.Signature(weights_layout(params))),
                "status": Out(status_layout()),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.frame, m.submodules.core = frame, core = self.frame, self.core
        wiring.connect(m, wiring.flipped(self.inputs), frame.inputs)
        wiring.connect(m, frame.chunks, core.chunks)
        m.d.comb += [self.status.eq(frame.status), core.clear.eq(frame.clear), core.header.eq(frame.header)]
        m.d.comb += [frame.fault.eq(core.fault), frame.fault_bit.eq(core.fault_bit)]

        weights = core.beats.p.codes.as_value()
        if self.table:
            m.submodules.table = table = self.table
            m.d.comb += [table.index.eq(frame.index), table.level.eq(frame.level), table.write.eq(frame.write)]
            m.d.comb += [frame.wrong.eq(table.wrong), table.codes.eq(weights)]
            weights = table.weights

        beat, valid = Signal(self.outputs.p.shape(), reset_less=True), Signal()
        m.d.comb += [
            core.beats.ready.eq(~valid | self.outputs.ready),
            frame.idle.eq(core.beats.ready),
            self.outputs.valid.eq(valid),
            self.outputs.p.eq(beat),
        ]
        with m.If(core.beats.ready):
            m.d.sync += valid.eq(core.beats.valid & ~core.refused)
        with m.If(core.beats.ready & core.beats.valid):
            m.d.sync += [
                beat.weights.eq(weights),
                beat.zero.eq(core.beats.p.zero),
                beat.last.eq(core.beats.p.last & frame.ending),
            ]
        return m
