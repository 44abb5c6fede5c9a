"""An AXI4 master that writes transfers whose length shows only at their end."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream
from amaranth.lib.fifo import SyncFIFO

from roundel.hw.axi.signatures import ADDRESS, CACHE, INCR, OKAY, check_master, write_layout, write_signature
from roundel.hw.lib import BlockFifo, Component, In, Out, named


class WriteMaster(Component):
    """Collects beats and sends a burst once it has all of it, so that W never waits for data after AW went out.

    A burst ends at a multiple of `burst` beats, and so at each border of 4 KiB, or with its transfer. It is on AW two
    cycles after its last beat came; beats come and go one per cycle. After `stop` and `idle`, a reset makes everything
    as new; what was collected goes with it.

    Parameters
    ----------
    data_width
        Bits of a beat: 32, 64 or 128.
    burst
        Most beats of a burst, a power of two from 1 to 256.
    outstanding
        Most bursts on AW without a response, and most bursts collected before; at least 2.
    fifo
        Beats that can be collected, a power of two, at least `burst`; `4 * burst` by default.
    """

    def __init__(self, *, data_width: int, burst: int = 16, outstanding: int = 4, fifo: int | None = None):
        self.fifo = 4 * burst if fifo is None else fifo
        check_master(data_width=data_width, burst=burst, outstanding=outstanding, fifo=self.fifo)
        self.data_width, self.burst, self.outstanding = data_width, burst, outstanding
        lane = (data_width // 8).bit_length() - 1
        self.layout = data.StructLayout({"word": ADDRESS - lane, "final": 1, "length": 8})
        super().__init__(
            bus=Out(write_signature(data_width), "Channels AW, W and B of an AXI4 master."),
            commands=In(
                stream.Signature(unsigned(ADDRESS)),
                "Address of each transfer; the low bits within a beat are ignored. A command is taken with the last "
                "beat of the transfer before.",
            ),
            inputs=In(
                stream.Signature(write_layout(data_width)), "Beats of the transfers, taken once the command was."
            ),
            done=Out(
                1,
                "For one cycle: all bursts of a transfer were answered, so that its data are in memory. In the order "
                "of commands.",
            ),
            stop=In(1, "Send no further burst. Those on AW are sent to their end."),
            idle=Out(1, "No burst is outstanding. (Beats can be collected all the same.)"),
            error=Out(1, "A burst was answered with another response than OKAY; held. The burst counts for `done`."),
            error_address=Out(ADDRESS, "Address of the first such burst, held."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bus, size = self.bus, self.layout.size
        m.submodules.beats = beats = BlockFifo(width=self.data_width + self.data_width // 8, depth=self.fifo)
        m.submodules.collected = collected = SyncFIFO(width=size, depth=self.outstanding)
        m.submodules.sent = sent = SyncFIFO(width=8, depth=self.outstanding)  # lengths of bursts on W
        m.submodules.asked = asked = SyncFIFO(width=size - 8, depth=self.outstanding)  # without their lengths
        self._collect(m, beats, collected)
        burst = data.View(self.layout, collected.r_data)
        free = ~bus.awvalid | bus.awready
        go = named(m, free & collected.r_rdy & asked.w_rdy & ~self.stop, "go")
        m.d.comb += [
            collected.r_en.eq(go),
            sent.w_en.eq(go),  # it has room when `asked` has
            sent.w_data.eq(burst.length),
            asked.w_en.eq(go),
            asked.w_data.eq(collected.r_data),
            self.idle.eq(~asked.r_rdy),
            bus.awsize.eq((self.data_width // 8).bit_length() - 1),
            bus.awburst.eq(INCR),
            bus.awcache.eq(CACHE),
        ]
        with m.If(free):
            m.d.sync += bus.awvalid.eq(go)
        with m.If(go):
            m.d.sync += [bus.awaddr.eq(self._address(burst.word)), bus.awlen.eq(burst.length)]
        self._send(m, beats, sent)
        self._finish(m, asked)
        return m

    def _address(self, word: Value) -> Value:
        return Cat(Const(0, ADDRESS - len(word)), word)

    def _collect(self, m: Module, beats: BlockFifo, collected: SyncFIFO) -> None:
        """Take a command, then beats, and say where bursts end."""
        offset = self.burst.bit_length() - 1
        busy, current = Signal(), Signal(self.layout, reset_less=True)
        upto = Signal(8)  # beats - 1 to the next multiple of the longest burst
        put = named(m, self.inputs.valid & self.inputs.ready, "put")
        end = named(m, put & ((current.length == upto) | self.inputs.p.last), "end")
        free = ~busy | (put & self.inputs.p.last)
        m.d.comb += [
            upto.eq(~current.word[:offset] if offset else 0),
            self.commands.ready.eq(free),
            self.inputs.ready.eq(busy & beats.inputs.ready & collected.w_rdy),
            beats.inputs.valid.eq(put),
            beats.inputs.payload.eq(Cat(self.inputs.p.data, self.inputs.p.strb)),
            collected.w_en.eq(end),
            collected.w_data.eq(Cat(current.word, self.inputs.p.last, current.length)),
        ]
        with m.If(put):
            m.d.sync += current.length.eq(current.length + 1)
        with m.If(end):
            following = Cat(Const(0, offset), current.word[offset:] + 1)
            m.d.sync += [current.word.eq(following), current.length.eq(0)]
        with m.If(free):
            lane = ADDRESS - len(current.word)
            m.d.sync += [busy.eq(self.commands.valid), current.word.eq(self.commands.payload[lane:])]
            m.d.sync += current.length.eq(0)

    def _send(self, m: Module, beats: BlockFifo, sent: SyncFIFO) -> None:
        """Beats of the bursts that are on AW, or were; all of a burst's beats are there by then."""
        bus = self.bus
        place = Signal(8)  # of the beat in its burst
        taken = named(m, bus.wvalid & bus.wready, "taken")
        m.d.comb += [
            bus.wvalid.eq(beats.outputs.valid & sent.r_rdy),
            Cat(bus.wdata, bus.wstrb).eq(beats.outputs.payload),
            bus.wlast.eq(place == sent.r_data),
            beats.outputs.ready.eq(bus.wready & sent.r_rdy),
            sent.r_en.eq(taken & bus.wlast),
        ]
        with m.If(taken):
            m.d.sync += place.eq(Mux(bus.wlast, 0, place + 1))

    def _finish(self, m: Module, asked: SyncFIFO) -> None:
        """Responses come in the order of bursts."""
        bus = self.bus
        layout = data.StructLayout({"word": len(asked.r_data) - 1, "final": 1})
        head = data.View(layout, asked.r_data)
        answered = bus.bvalid & asked.r_rdy
        m.d.comb += [bus.bready.eq(1), asked.r_en.eq(answered)]
        m.d.sync += self.done.eq(answered & head.final)
        with m.If(answered & (bus.bresp != OKAY) & ~self.error):
            m.d.sync += [self.error.eq(1), self.error_address.eq(self._address(head.word))]
