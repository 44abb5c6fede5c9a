"""A FIFO of a few words in distributed memory, with registered handshakes: it cuts paths from `ready` to `ready`."""

from typing import Any

from amaranth.hdl import Module, ShapeCastable, Signal, unsigned
from amaranth.lib import memory, stream

from roundel.hw.lib.memory import TwoPortMemory
from roundel.hw.lib.ports import Component, In, Out


class SmallFifo(Component):
    """Words come out in order, one each cycle, from a register; a word can be seen two cycles after it went in.

    Parameters
    ----------
    shape
        Of a word.
    depth
        Words of the memory, a power of two from 2 up. One more waits at the output.
    """

    def __init__(self, shape: int | ShapeCastable, *, depth: int):
        assert depth > 1, depth
        assert depth.bit_count() == 1, depth
        self.depth = depth
        super().__init__(
            inputs=In(stream.Signature(shape), "Words to keep."),
            outputs=Out(stream.Signature(shape), "The words, in their order."),
        )

    def elaborate(self, platform: Any) -> Module:
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


class BlockFifo(Component):
    """Words come out in order, one each cycle; a word can be seen two cycles after it went in.

    Parameters
    ----------
    width
        Bits of a word.
    depth
        Words of the memory, a power of two from 2. One more is read ahead and waits at the output.
    """

    def __init__(self, *, width: int, depth: int):
        self.width, self.depth = width, depth
        super().__init__(
            inputs=In(stream.Signature(width), "Words to keep."),
            outputs=Out(stream.Signature(width), "The words, in their order."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.words = words = TwoPortMemory(width=self.width, depth=self.depth)
        put_at, get_at = Signal(range(2 * self.depth)), Signal(range(2 * self.depth))  # equal: empty; by depth: full
        put = self.inputs.valid & self.inputs.ready
        get = (put_at != get_at) & (~self.outputs.valid | self.outputs.ready)
        m.d.comb += [
            self.inputs.ready.eq(put_at ^ get_at != self.depth),
            words.write_en.eq(put),
            words.write_addr.eq(put_at),
            words.write_data.eq(self.inputs.payload),
            words.read_en.eq(get),
            words.read_addr.eq(get_at),
            self.outputs.payload.eq(words.read_data),
        ]
        with m.If(put):
            m.d.sync += put_at.eq(put_at + 1)
        with m.If(get):
            m.d.sync += [get_at.eq(get_at + 1), self.outputs.valid.eq(1)]
        with m.Elif(self.outputs.ready):
            m.d.sync += self.outputs.valid.eq(0)
        return m
