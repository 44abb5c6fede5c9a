"""An AXI4 master that reads for several channels."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO

from roundel.hw.axi.read_splitter import ReadSplitter, burst_layout
from roundel.hw.axi.signatures import (
    ADDRESS,
    CACHE,
    INCR,
    OKAY,
    check_master,
    command_layout,
    read_layout,
    read_signature,
)
from roundel.hw.lib import BlockFifo, Component, In, Out, named


def beat_layout(data_width: int) -> data.StructLayout:
    """Return a beat in the FIFO, a few bits more than its data to fill block memories: `tail` is its bytes - 1."""
    return data.StructLayout({"data": data_width, "last": 1, "tail": (data_width // 8).bit_length() - 1})


class ReadChannel(Component):
    """A FIFO with room that is booked ahead.

    Parameters
    ----------
    data_width, burst, fifo
        See `roundel.hw.axi.read.ReadMaster`.
    """

    def __init__(self, *, data_width: int, burst: int, fifo: int):
        self.data_width, self.longest, self.fifo = data_width, burst, fifo
        super().__init__(
            has_room=Out(1, "The FIFO has room for a burst of the longest kind."),
            book=In(
                1,
                "Take room for `length + 1` beats. `has_room` counts them in the next cycle, and beats that leave two "
                "cycles later.",
            ),
            length=In(8, "Beats to book, less one."),
            put=In(1, "A beat has come, for which there is room."),
            beat=In(beat_layout(data_width), "The beat that `put` enters."),
            outputs=Out(
                stream.Signature(read_layout(data_width)), "The beats, with a bit for every byte that is there."
            ),
        )

    def elaborate(self, platform: Any) -> Module:
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


class ReadMaster(Component):
    """Transfers become bursts, and their beats streams; channels take turns, burst by burst.

    A channel asks for a burst only when its FIFO has room for all of it, so that the master takes every beat at once
    and no channel ever waits for another one's consumer. Three cycles pass from a command to ARVALID, four if another
    channel gave the one before, and three from a beat on the bus to the stream; both sustain one beat per cycle. A
    channel has a burst in every third cycle at most, so that transfers of one or two beats leave gaps when no other
    channel fills them. After `stop` and `idle`, a reset makes everything as new; what lies in the FIFOs goes with it.

    Parameters
    ----------
    data_width
        Bits of a beat: 32, 64 or 128.
    channels
        Streams, at least one.
    burst
        Most beats of a burst, a power of two from 1 to 256. Bursts end at multiples of it.
    outstanding
        Most bursts that are asked for and have not come, of all channels together; at least 2.
    fifo
        Beats of a channel's FIFO, a power of two from `burst` on. The default, `4 * burst`, covers a latency of three.
    """

    def __init__(
        self, *, data_width: int, channels: int, burst: int = 16, outstanding: int = 4, fifo: int | None = None
    ):
        self.fifo = 4 * burst if fifo is None else fifo
        check_master(data_width=data_width, burst=burst, outstanding=outstanding, fifo=self.fifo, channels=channels)
        self.data_width, self.channels, self.burst, self.outstanding = data_width, channels, burst, outstanding
        super().__init__(
            bus=Out(read_signature(data_width), "Channels AR and R of an AXI4 master."),
            commands=In(
                stream.Signature(command_layout()),
                "Transfers, of which two wait in each channel. The low bits of an address within a beat are ignored.",
            ).array(channels),
            outputs=Out(
                stream.Signature(read_layout(data_width)),
                "Beats of the transfers, with their bytes counted from the lowest.",
            ).array(channels),
            hold=In(channels, "Channels that get no further burst now, except one that was chosen before."),
            waiting=Out(channels, "Channels that have yet to ask for a burst."),
            stop=In(1, "Ask for nothing more. The bursts that were asked for still come."),
            idle=Out(1, "No burst is outstanding."),
            error=Out(1, "A beat came with another response than OKAY; held. Its data go to the stream all the same."),
            error_address=Out(ADDRESS, "Address of the first such beat, held."),
            error_channel=Out(range(max(2, channels)), "Channel of the first such beat, held."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.splitter = splitter = ReadSplitter(
            data_width=self.data_width, channels=self.channels, burst=self.burst
        )
        channels = []
        for number in range(self.channels):
            channel = ReadChannel(data_width=self.data_width, burst=self.burst, fifo=self.fifo)
            m.submodules[f"channel{number}"] = channel
            wiring.connect(m, splitter.commands[number], wiring.flipped(self.commands[number]))
            wiring.connect(m, wiring.flipped(self.outputs[number]), channel.outputs)
            channels.append(channel)
        asked = data.StructLayout({"burst": burst_layout(self.data_width), "channel": len(self.error_channel)})
        m.submodules.asked = queue = SyncFIFO(width=asked.size, depth=self.outstanding)
        m.d.comb += self.idle.eq(~queue.r_rdy)
        self._ask(m, splitter, channels, queue)
        self._take(m, channels, queue, data.View(asked, queue.r_data))
        return m

    def _ask(self, m: Module, splitter: ReadSplitter, channels: list[ReadChannel], queue: SyncFIFO) -> None:
        """Send a burst when AR is free; what was asked for goes into the queue as well."""
        bus, burst = self.bus, splitter.burst
        free = ~bus.arvalid | bus.arready
        go = named(m, free & splitter.valid & queue.w_rdy & ~self.stop, "go")
        m.d.comb += [
            splitter.allowed.eq(Cat(channel.has_room & ~channel.book for channel in channels) & ~self.hold),
            self.waiting.eq(splitter.waiting),
            splitter.go.eq(go),
            queue.w_en.eq(go),
            queue.w_data.eq(Cat(burst, splitter.channel)),
            bus.arsize.eq((self.data_width // 8).bit_length() - 1),
            bus.arburst.eq(INCR),
            bus.arcache.eq(CACHE),
        ]
        for number, channel in enumerate(channels):
            m.d.sync += channel.book.eq(go & (splitter.channel == number))  # a cycle late, for the clock's sake
            m.d.comb += channel.length.eq(bus.arlen)
        with m.If(free):
            m.d.sync += bus.arvalid.eq(go)
        with m.If(go):
            m.d.sync += [bus.araddr.eq(Cat(Const(0, len(burst.tail)), burst.word)), bus.arlen.eq(splitter.length)]

    def _take(self, m: Module, channels: list[ReadChannel], queue: SyncFIFO, head: data.View) -> None:
        """Give each beat to the channel that asked for it."""
        bus, offset = self.bus, self.burst.bit_length() - 1
        place = Signal(8)  # of the beat in its burst
        taken = named(m, bus.rvalid & queue.r_rdy, "taken")
        last = named(m, bus.rlast & head.burst.final, "last")
        for number, channel in enumerate(channels):
            m.d.comb += [
                channel.put.eq(taken & (head.channel == number)),
                channel.beat.data.eq(bus.rdata),
                channel.beat.last.eq(last),
                channel.beat.tail.eq(Mux(last, head.burst.tail, self.data_width // 8 - 1)),
            ]
        m.d.comb += [bus.rready.eq(1), queue.r_en.eq(taken & bus.rlast)]
        with m.If(taken):
            m.d.sync += place.eq(Mux(bus.rlast, 0, place + 1))
        with m.If(taken & (bus.rresp != OKAY) & ~self.error):
            within = (head.burst.word[:offset] + place)[:offset]  # a burst does not leave its multiple
            lane = Const(0, len(head.burst.tail))
            m.d.sync += [
                self.error.eq(1),
                self.error_address.eq(Cat(lane, within, head.burst.word[offset:])),
                self.error_channel.eq(head.channel),
            ]
