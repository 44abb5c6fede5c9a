"""What an AXI read master has for each of its channels: beats that came, and room for beats that will come."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.axi import read_layout
from hw.axi_fifo import BlockFifo


def beat_layout(data_width: int) -> data.StructLayout:
    """A beat in the FIFO, a few bits more than its data, so that it fills block memories: `tail` is its bytes - 1."""
    return data.StructLayout({"data": data_width, "last": 1, "tail": (data_width // 8).bit_length() - 1})


class ReadChannel(wiring.Component):
    """A FIFO with room that is booked ahead.

    Parameters
    ----------
    data_width, burst, fifo
        See `hw.axi_read.ReadMaster`.

    Members
    -------
    has_room : Out(1)
        For a burst of the longest kind.
    book : In(1), length : In(8)
        Room for `length + 1` beats is taken; `has_room` knows in the next cycle. Of beats that leave it knows two
        cycles later.
    put : In(1), beat : In(beat_layout(data_width))
        A beat has come, for which there is room.
    outputs : Out(stream.Signature(read_layout(data_width)))
    """

    def __init__(self, *, data_width: int, burst: int, fifo: int):
        self.data_width, self.longest, self.fifo = data_width, burst, fifo
        super().__init__(
            {
                "has_room": Out(1),
                "book": In(1),
                "length": In(8),
                "put": In(1),
                "beat": In(beat_layout(data_width)),
                "outputs": Out(stream.Signature(read_layout(data_width))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.beats = beats = BlockFifo(width=len(self.beat.as_value()), depth=self.fifo)
        room, left = Signal(range(self.fifo + 1), init=self.fifo), Signal()
        booked = Mux(self.book, self.length[: (self.longest - 1).bit_length()] + 1, 0)
        m.d.sync += [left.eq(beats.outputs.valid & beats.outputs.ready), room.eq(room - booked + left)]
        m.d.comb += [
            self.has_room.eq(room >= self.longest),
            beats.inputs.valid.eq(self.put),
            beats.inputs.payload.eq(self.beat),
            beats.outputs.ready.eq(~self.outputs.valid | self.outputs.ready),
        ]
        beat, keep = data.View(self.beat.shape(), beats.outputs.payload), range(1, self.data_width // 8)
        with m.If(beats.outputs.ready):  # a register, as block memories are slow
            m.d.sync += [
                self.outputs.valid.eq(beats.outputs.valid),
                self.outputs.p.data.eq(beat.data),
                self.outputs.p.last.eq(beat.last),
                self.outputs.p.keep.eq(Cat(1, *(beat.tail >= byte for byte in keep))),
            ]
        return m
