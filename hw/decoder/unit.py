"""The decoder of sparse weights: a stream of bytes in, beats of dense weights out."""

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring

from roundel.golden.codec import DecoderParams, Packing
from roundel.hw.decoder.frame import Frame, status_layout
from roundel.hw.decoder.mask import MaskCore
from roundel.hw.decoder.relative import RelativeCore
from roundel.hw.decoder.rice import RiceCore
from roundel.hw.decoder.words import input_layout
from roundel.hw.lib import Component, In, Out, select


class LevelTable(Component):
    """Written a level per cycle, looked up by all lanes at once.

    Parameters
    ----------
    width
        Bits of a code, 2 to 5.
    lanes
        Codes that are looked up.
    """

    def __init__(self, width: int, lanes: int):
        self.width, self.lanes = width, lanes
        super().__init__(
            index=In(8, "Code of the level to write; codes that the table does not have are not kept."),
            level=In(8, "The level of code `index`."),
            write=In(1, "Write the level."),
            wrong=Out(1, "`level` is one that was there before, or not 0 for code 0."),
            codes=In(width * lanes, "A code of each lane, `width` bits, lane 0 at the bottom."),
            weights=Out(8 * lanes, "A signed level of each lane, 8 bits, lane 0 at the bottom."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        levels: list[Value] = [
            Signal(signed(8), name=f"level_of_{code}", reset_less=True) for code in range(1 << self.width)
        ]
        m.d.comb += levels[0].eq(0)
        repeated = [(self.index > code) & (self.level == level.as_unsigned()) for code, level in enumerate(levels)]
        m.d.comb += self.wrong.eq(Cat(*repeated, (self.index == 0) & self.level.any()).any())
        for code, level in enumerate(levels[1:], start=1):
            with m.If(self.write & (self.index == code)):
                m.d.sync += level.eq(self.level)
        m.d.comb += self.weights.eq(Cat(select(levels, code) for code in self._each()))
        return m

    def _each(self) -> list[Value]:
        return [self.codes.word_select(lane, self.width) for lane in range(self.lanes)]


CORES: Mapping[Packing, Callable[[DecoderParams], Any]] = {
    Packing.MASK: MaskCore,
    Packing.RELATIVE: RelativeCore,
    Packing.RICE: RiceCore,
}


def weights_layout(params: DecoderParams) -> data.StructLayout:
    """Return a beat of weights, lane 0 first; `zero`: all of them are 0, announced; `last` of the stream."""
    weights = data.ArrayLayout(signed(params.weight_width), params.lanes)
    return data.StructLayout({"weights": weights, "zero": 1, "last": 1})


class Decoder(Component):
    """Decodes streams one after the other. docs/decoder.md says what goes in and out, and how fast.

    Parameters
    ----------
    params
        See `roundel.golden.codec.decoder.DecoderParams`.
    """

    latency = 1  # from the words of a beat to its weights

    def __init__(self, params: DecoderParams):
        self.params = params
        self.core = CORES[params.packing](params)
        self.frame = Frame(params, len(self.core.fault_bit))
        self.table = LevelTable(params.width, params.lanes) if params.table else None
        super().__init__(
            inputs=In(
                stream.Signature(input_layout(params)), "The bytes of the streams, `last` with the last of each."
            ),
            outputs=Out(
                stream.Signature(weights_layout(params)),
                "As many weights as the stream announces, zeros behind them up to a whole beat; fewer if it is "
                "damaged.",
            ),
            status=Out(
                status_layout(),
                "After all weights of a stream: `done` for a cycle, with `error` and the `bit` where it is damaged.",
            ),
        )

    def elaborate(self, platform: Any) -> Module:
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
