"""A FIFO whose words are in a block memory."""

from amaranth.hdl import Module, Mux, Signal, Value
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
        Words of the memory, at least two. One more is read ahead and waits at the output.

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
        level = Signal(range(self.depth + 1))  # words in the memory
        put = self.inputs.valid & self.inputs.ready
        get = (level != 0) & (~self.outputs.valid | self.outputs.ready)
        m.d.comb += [
            self.inputs.ready.eq(level != self.depth),
            words.write_en.eq(put),
            words.write_data.eq(self.inputs.payload),
            words.read_en.eq(get),
            self.outputs.payload.eq(words.read_data),
        ]
        m.d.sync += level.eq(level + put - get)
        with m.If(put):
            m.d.sync += words.write_addr.eq(self._after(words.write_addr))
        with m.If(get):
            m.d.sync += [words.read_addr.eq(self._after(words.read_addr)), self.outputs.valid.eq(1)]
        with m.Elif(self.outputs.ready):
            m.d.sync += self.outputs.valid.eq(0)
        return m

    def _after(self, address: Value) -> Value:
        return Mux(address == self.depth - 1, 0, address + 1)
