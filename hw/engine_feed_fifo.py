"""A FIFO of a few words in distributed memory, with registered handshakes: it cuts paths from `ready` to `ready`."""

from amaranth.hdl import Module, ShapeCastable, Signal, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out


class SmallFifo(wiring.Component):
    """Words come out in order, one each cycle, from a register; a word can be seen two cycles after it went in.

    Parameters
    ----------
    shape
        Of a word.
    depth
        Words of the memory, a power of two from 2 up. One more waits at the output.

    Members
    -------
    inputs : In(stream.Signature(shape))
    outputs : Out(stream.Signature(shape))
    """

    def __init__(self, shape: int | ShapeCastable, *, depth: int):
        assert depth > 1, depth
        assert depth.bit_count() == 1, depth
        self.depth = depth
        super().__init__({"inputs": In(stream.Signature(shape)), "outputs": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        source, sink = self.inputs, self.outputs
        into, out = Signal(len(source.p.as_value()), name="into"), Signal.like(source.p.as_value(), name="out")
        m.submodules.words = words = memory.Memory(shape=unsigned(len(into)), depth=self.depth, init=[])
        write, read = words.write_port(), words.read_port(domain="comb")
        level = Signal(range(self.depth + 1))  # words in the memory
        put, get = Signal(), Signal()
        m.d.comb += [
            into.eq(source.p),
            source.ready.eq(level != self.depth),
            put.eq(source.valid & source.ready),
            get.eq((level != 0) & (~sink.valid | sink.ready)),
            write.en.eq(put),
            write.data.eq(into),
            sink.p.eq(out),
        ]
        m.d.sync += [level.eq(level + put - get), write.addr.eq(write.addr + put), read.addr.eq(read.addr + get)]
        with m.If(get):
            m.d.sync += [out.eq(read.data), sink.valid.eq(1)]
        with m.Elif(sink.ready):
            m.d.sync += sink.valid.eq(0)
        return m
