"""One channel of the AXI read master: cuts transfers into bursts and holds what was read."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hw.axi import ADDRESS, BYTES, command_layout, read_layout
from hw.axi_fifo import BlockFifo


def burst_layout(data_width: int) -> data.StructLayout:
    """A burst: beat address, beats - 1, whether its transfer ends with it, and the bytes of the last beat - 1."""
    lane = (data_width // 8).bit_length() - 1
    return data.StructLayout({"word": ADDRESS - lane, "length": 8, "final": 1, "tail": lane})


def beat_layout(data_width: int) -> data.StructLayout:
    """A beat in the FIFO, four bits more than its data at most: `tail` is the bytes that it has - 1."""
    return data.StructLayout({"data": data_width, "last": 1, "tail": (data_width // 8).bit_length() - 1})


class ReadChannel(wiring.Component):
    """Bursts end at multiples of their longest size, so that none crosses 4 KiB and lengths need no wide arithmetic.

    A burst is requested once the FIFO has room for the longest one; its beats are then taken whenever they come.

    Parameters
    ----------
    data_width, burst, fifo
        See `hw.axi_read.ReadMaster`.

    Members
    -------
    commands : In(stream.Signature(command_layout()))
        One is worked on while a second waits.
    outputs : Out(stream.Signature(read_layout(data_width)))
    request : Out(1), burst : Out(burst_layout(data_width)), grant : In(1)
        A burst that is ready to go; with `grant`, which may depend on `request`, it goes in this cycle.
    put : In(1), beat : In(beat_layout(data_width))
        A beat has come.
    """

    def __init__(self, *, data_width: int, burst: int, fifo: int):
        self.data_width, self.longest, self.fifo = data_width, burst, fifo
        super().__init__(
            {
                "commands": In(stream.Signature(command_layout())),
                "outputs": Out(stream.Signature(read_layout(data_width))),
                "request": Out(1),
                "burst": Out(burst_layout(data_width)),
                "grant": In(1),
                "put": In(1),
                "beat": In(beat_layout(data_width)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.beats = beats = BlockFifo(width=len(self.beat.as_value()), depth=self.fifo)
        beat = data.View(self.beat.shape(), beats.outputs.payload)
        m.d.comb += [
            beats.inputs.valid.eq(self.put),
            beats.inputs.payload.eq(self.beat),
            self.outputs.valid.eq(beats.outputs.valid),
            beats.outputs.ready.eq(self.outputs.ready),
            self.outputs.p.data.eq(beat.data),
            self.outputs.p.last.eq(beat.last),
            self.outputs.p.keep.eq(Cat(1, *(beat.tail >= byte for byte in range(1, self.data_width // 8)))),
        ]
        room = Signal(range(self.fifo + 1), init=self.fifo)  # beats that neither are in the FIFO nor were asked for
        asked = Mux(self.grant, self.burst.length + 1, 0)
        m.d.sync += room.eq(room - asked + (self.outputs.valid & self.outputs.ready))
        busy = self._split(m)
        m.d.comb += self.request.eq(busy & (room >= self.longest))
        return m

    def _split(self, m: Module) -> Signal:
        """Walk through a transfer with each `grant`; returns whether there is one."""
        lane, offset = len(self.burst.tail), self.longest.bit_length() - 1
        transfer = data.StructLayout({"word": ADDRESS - lane, "tail": lane, "left": BYTES - lane})  # left: beats - 1
        given, waiting, current = Signal(transfer), Signal(transfer, reset_less=True), Signal(transfer, reset_less=True)
        busy, full = Signal(), Signal()
        upto = Signal(8)  # beats - 1 to the next multiple of the longest burst
        m.d.comb += [
            Cat(given.tail, given.left).eq(self.commands.p.bytes - 1),
            given.word.eq(self.commands.p.address[lane:]),
            self.commands.ready.eq(~full),
            upto.eq(~current.word[:offset] if offset else 0),
            self.burst.final.eq(current.left <= upto),
            self.burst.length.eq(Mux(self.burst.final, current.left, upto)),
            self.burst.word.eq(current.word),
            self.burst.tail.eq(current.tail),
        ]
        free = ~busy | (self.grant & self.burst.final)
        with m.If(self.commands.valid & ~full & ~free):
            m.d.sync += [waiting.eq(given), full.eq(1)]
        with m.If(free):
            m.d.sync += [current.eq(Mux(full, waiting, given)), busy.eq(full | self.commands.valid), full.eq(0)]
        with m.Elif(self.grant):
            following = Cat(Const(0, offset), current.word[offset:] + 1)
            m.d.sync += [current.word.eq(following), current.left.eq(current.left - upto - 1)]
        return busy
