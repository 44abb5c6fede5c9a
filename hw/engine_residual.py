"""Reads what a layer adds to its sums."""

from amaranth.hdl import Cat, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.engine_params import EngineParams
from golden.program import Opcode
from hw.engine_ports import keep_busy, read_port, unit_port, word
from hw.engine_reader import WordReader
from hw.engine_tile_walker import TileWalker


class Residual(wiring.Component):
    """Words in the order of results, read ahead, their top bits inverted if the layer says so.

    The first word is offered `1 + WordReader.LATENCY` cycles after `start`, then one a cycle as long as the memory is
    free; up to `WordReader.DEPTH` words are read ahead. So the last of N words that never wait is taken in cycle
    `N + WordReader.LATENCY` after `start`. `done` comes in the cycle after the last word was taken, or, for a layer
    without residual, in the cycle after `start`.

    Parameters
    ----------
    params
        The engine.

    Members
    -------
    unit : In(unit_port(Opcode.COMPUTE))
    memory : Out(read_port(params))
    words : Out(stream.Signature(word(params)))
        Bytes are signed.
    """

    unit: wiring.PureInterface
    memory: wiring.PureInterface
    words: stream.Interface

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            {
                "unit": In(unit_port(Opcode.COMPUTE)),
                "memory": Out(read_port(params)),
                "words": Out(stream.Signature(word(params))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = TileWalker(self.params, "residual")
        m.submodules.reader = reader = WordReader(self.params)
        unit, layer, words = self.unit, self.unit.descriptor, reader.words
        wiring.connect(m, reader.memory, wiring.flipped(self.memory))
        flip = Cat(layer.flip_residual << 7 for _ in range(self.params.lanes))
        m.d.comb += [
            walker.start.eq(unit.start & layer.has_residual),
            walker.descriptor.eq(layer),
            reader.addresses.valid.eq(walker.addresses.valid),
            reader.addresses.p.value.eq(walker.addresses.payload),
            reader.addresses.p.mark.eq(walker.last),
            walker.addresses.ready.eq(reader.addresses.ready),
            self.words.valid.eq(words.valid),
            self.words.payload.eq(words.p.value ^ flip),
            words.ready.eq(self.words.ready),
        ]
        over = words.valid & words.ready & words.p.mark
        m.d.sync += unit.done.eq(over | (unit.start & ~layer.has_residual))
        keep_busy(m, unit)
        return m
