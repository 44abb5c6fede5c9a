"""A memory with one read and one write port, a module of its own so that a flow can put a macro in its place."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out


class TwoPortMemory(wiring.Component):
    """Ports of the full width, inferable as block RAM.

    Parameters
    ----------
    width
        Bits of a word.
    depth
        Words; at least two are made.

    Members
    -------
    read_en : In(1), read_addr : In, read_data : Out(width)
        Data come in the next cycle and stay until the next read. A read of the word that is being written brings
        nothing defined; no unit uses what comes.
    write_en : In(1), write_addr : In, write_data : In(width)
    """

    def __init__(self, *, width: int, depth: int):
        self.depth = max(depth, 2)
        address = range(self.depth)
        super().__init__(
            {
                "read_en": In(1),
                "read_addr": In(address),
                "read_data": Out(width),
                "write_en": In(1),
                "write_addr": In(address),
                "write_data": In(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = len(self.read_data)
        m.submodules.words = words = memory.Memory(
            shape=unsigned(width),
            depth=self.depth,
            init=[],
            attrs={"no_rw_check": 1},  # or Yosys guards against reading what is being written
        )
        read, write = words.read_port(), words.write_port()
        m.d.comb += [
            read.en.eq(self.read_en),
            read.addr.eq(self.read_addr),
            self.read_data.eq(read.data),
            write.en.eq(self.write_en),
            write.addr.eq(self.write_addr),
            write.data.eq(self.write_data),
        ]
        return m
