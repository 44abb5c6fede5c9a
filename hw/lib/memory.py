"""A memory with one read and one write port, a module of its own so that a flow can put a macro in its place."""

from typing import Any

from amaranth.hdl import Module, unsigned
from amaranth.lib import memory

from roundel.hw.lib.ports import Component, In, Out


class TwoPortMemory(Component):
    """Ports of the full width, inferable as block RAM.

    Parameters
    ----------
    width
        Bits of a word.
    depth
        Words; at least two are made.
    """

    def __init__(self, *, width: int, depth: int):
        self.depth = max(depth, 2)
        address = range(self.depth)
        super().__init__(
            read_en=In(1, "Read the word at `read_addr`."),
            read_addr=In(address, "Address of the word to read."),
            read_data=Out(
                width,
                "The word read, from the next cycle until the next read. Reading the word that is being written "
                "brings don't-cares, which no unit uses.",
            ),
            write_en=In(1, "Write `write_data` to `write_addr`."),
            write_addr=In(address, "Address of the word to write."),
            write_data=In(width, "The word to write."),
        )

    def elaborate(self, platform: Any) -> Module:
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
