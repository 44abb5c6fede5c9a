"""Cuts the transfers of several channels into bursts."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, stream

from roundel.hw.axi.signatures import ADDRESS, BYTES, command_layout
from roundel.hw.lib import Component, In, Out, select


def burst_layout(data_width: int) -> data.StructLayout:
    """Return a burst: its address in beats, whether its transfer ends with it, the bytes of the last beat then - 1."""
    lane = (data_width // 8).bit_length() - 1
    return data.StructLayout({"word": ADDRESS - lane, "final": 1, "tail": lane})


def next_turn(m: Module, requests: Value, before: Signal, name: str) -> Signal:
    """Round robin: the first of `requests` behind number `before`, which comes last."""
    turn = Signal.like(before, name=name)
    for number in reversed(range(len(requests))):
        with m.If(requests[number]):
            m.d.comb += turn.eq(number)
    for number in reversed(range(1, len(requests))):
        with m.If(requests[number] & (before < number)):
            m.d.comb += turn.eq(number)
    return turn


class ReadSplitter(Component):
    """One circuit for all channels; their transfers are in distributed memory.

    Bursts end at multiples of their longest size, so that none crosses 4 KiB. A transfer is held by the address of its
    first and of its last byte; a burst is the final one when it ends in the same multiple as the transfer.

    Parameters
    ----------
    data_width, channels, burst
        See `roundel.hw.axi.read.ReadMaster`.
    """

    def __init__(self, *, data_width: int, channels: int, burst: int):
        self.channels, self.longest = channels, burst
        self.lane = (data_width // 8).bit_length() - 1  # bits of a byte's address within a beat
        self.offset = burst.bit_length() - 1  # bits of a beat's address within the longest burst
        super().__init__(
            commands=In(
                stream.Signature(command_layout()),
                "Transfers. One is taken each cycle, channels in turn, at the earliest in the cycle after it came; a "
                "channel holds two.",
            ).array(channels),
            allowed=In(channels, "Channels that may have a burst now, if none of theirs is on offer."),
            waiting=Out(channels, "Channels that have transfers, or rests of transfers."),
            valid=Out(1, "There is a next burst, channels in turn. A channel has one in every other cycle at most."),
            channel=Out(range(max(2, channels)), "The channel of the next burst."),
            burst=Out(burst_layout(data_width), "The next burst."),
            length=Out(8, "Beats of the next burst, less one."),
            go=In(1, "The burst goes in this cycle."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        width = len(self.channel)
        word = ADDRESS - self.lane
        entry = data.StructLayout({"word": word, "end": BYTES + 1})  # of the last byte so many bits are enough
        m.submodules.transfers = transfers = memory.Memory(shape=entry, depth=2 << width, init=[])
        m.submodules.blocks = blocks = memory.Memory(shape=unsigned(word - self.offset), depth=1 << width, init=[])
        put_at = [Signal(2, name=f"put_at{number}") for number in range(self.channels)]  # 0 or 1, and once round
        get_at = [Signal(2, name=f"get_at{number}") for number in range(self.channels)]
        self._take(m, transfers.write_port(), put_at, get_at)
        channel = self.channel
        m.d.comb += self.waiting.eq(Cat(put != get for put, get in zip(put_at, get_at, strict=True)))
        self._choose(m)
        begun = Signal(self.channels)  # channels whose transfer had a burst
        transfer, moved = transfers.read_port(domain="comb"), blocks.read_port(domain="comb")
        m.d.comb += [
            transfer.addr.eq(Cat(select([get[0] for get in get_at], channel), channel)),
            moved.addr.eq(channel),
        ]
        following = blocks.write_port()
        m.d.comb += [following.addr.eq(channel), following.en.eq(self.go)]
        m.d.comb += following.data.eq(self._cut(m, transfer.data, moved.data, begun.bit_select(channel, 1)) + 1)
        for number, get in enumerate(get_at):
            with m.If(self.go & (channel == number)):
                m.d.sync += [begun[number].eq(~self.burst.final), get.eq(get + self.burst.final)]
        return m

    def _choose(self, m: Module) -> None:
        """Register whose turn it is; not the same at once, as what it holds and may have is known a cycle late."""
        others = [~(self.valid & (self.channel == number)) for number in range(self.channels)]
        requests = self.waiting & self.allowed & Cat(others)
        turn = next_turn(m, requests, self.channel, "turn")
        with m.If(~self.valid | self.go):
            m.d.sync += self.valid.eq(requests.any())
            with m.If(requests.any()):
                m.d.sync += self.channel.eq(turn)

    def _take(self, m: Module, port: memory.WritePort, put_at: list[Signal], get_at: list[Signal]) -> None:
        """Store a command a cycle. Who may give one is in a register: the same again, unless others wait."""
        taker = Signal.like(self.channel)
        free = [put ^ get != 2 for put, get in zip(put_at, get_at, strict=True)]
        mine = [taker == number for number in range(self.channels)]
        rows = list(zip(self.commands, free, mine, strict=True))
        others = Cat(command.valid & room & ~chosen for command, room, chosen in rows)
        following = next_turn(m, others, taker, "next_taker")
        with m.If(others.any()):
            m.d.sync += taker.eq(following)
        command = data.View(command_layout(), select([command.payload.as_value() for command in self.commands], taker))
        word = command.address[self.lane :]
        m.d.comb += [
            port.en.eq(Cat(command.valid & room & chosen for command, room, chosen in rows).any()),
            port.addr.eq(Cat(select([put[0] for put in put_at], taker), taker)),
            port.data.word.eq(word),
            port.data.end.eq(Cat(Const(0, self.lane), word) + command.bytes - command.bytes.any()),
        ]
        for put, (given, room, chosen) in zip(put_at, rows, strict=True):
            m.d.comb += given.ready.eq(room & chosen)
            with m.If(given.valid & given.ready):
                m.d.sync += put.eq(put + 1)

    def _cut(self, m: Module, transfer: data.View, moved: Value, begun: Value) -> Signal:
        """Form the burst of a transfer that came to the multiple `moved` if it has `begun`; returns its multiple."""
        first, within = transfer.word[self.offset :], transfer.word[: self.offset]
        tail, end = transfer.end[: self.lane], transfer.end[self.lane : self.lane + self.offset]
        last = transfer.end[self.lane + self.offset :]
        block, start = Signal.like(first, name="block"), Signal(8)
        m.d.comb += [
            block.eq(Mux(begun, moved, first)),
            start.eq(Mux(begun, 0, within)),
            self.burst.word.eq(Cat(start[: self.offset], block)),
            self.burst.final.eq(block[: len(last)] == last),
            self.burst.tail.eq(tail),
            self.length.eq(Mux(self.burst.final, end, self.longest - 1) - start),
        ]
        return block
