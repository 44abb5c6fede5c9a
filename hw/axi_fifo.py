"""A FIFO whose words are in a block memory."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hw.two_port_memory import TwoPortMemory


class BlockFifo(wiring.Component):
    """Words come out in order, one each cycle; a word can be seen two cycles after it went in.

    Parameters
    ----------
    width
        Bits of a word.
    depth
        Words of the memory, a power of two from 2. One more is read ahead and waits at the output.

    Members
    -------
    inputs : In(stream.Signature(width))
    outputs : Out(stream.Signature(width))
    """

    def __init__(self, *, width: int, depth: int):
        self.width, self.depth = width, depth
        super().__init__({"inputs": In(stream.Signature(width)), "outputs": Out(stream.Signature(width))})

    def elaborate(self, platform):
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
