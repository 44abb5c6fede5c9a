"""Words of a detector head's maps: from any channel of any location on."""

from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring

from roundel.golden.engine import EngineParams
from roundel.hw.engine.ports import read_port, word, word_address
from roundel.hw.engine.reader import WordReader
from roundel.hw.lib import Component, In, Out, named

CHANNEL = 12
"""Bits of the number of a channel: of 9 priors with 257 logits."""


def plane(params: EngineParams) -> int:
    """Return the bits of the number of a plane."""
    return CHANNEL + 1 - params.lanes.bit_length()


class Cursor(Component):
    """Words of a location, plane by plane; with `looping` then those of the next, with `falling` the same back again.

    With `looping` it goes on until `stop`, beyond the last location: whoever takes the words knows when to end it.
    Words that were asked for before a `stop` are not offered; each of them takes a cycle. The first word of `plane` is
    offered `plane + LATENCY` cycles after `begin`, or later where the memory has no time; then one a cycle.

    Parameters
    ----------
    params
        The engine's.
    """

    LATENCY = 1 + WordReader.LATENCY

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            begin=In(1, "Begin; after a `stop`."),
            stop=In(1, "End."),
            base=In(word_address(params), "Word of the map's first location; with `begin`."),
            location=In(word_address(params), "Number of the location; with `begin`."),
            plane=In(plane(params), "The first plane; it stands still until `stop`."),
            last=In(plane(params), "The last plane; it stands still until `stop`."),
            pitch=In(word_address(params), "Words from plane to plane; it stands still until `stop`."),
            looping=In(1, "Behind the last plane comes the first one of the next location."),
            falling=In(1, "Behind the last plane comes the one before it, and so on to the first."),
            memory=Out(read_port(params), "Reads words of the activation memory."),
            words=Out(stream.Signature(word(params)), "The words."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.reader = reader = WordReader(self.params)
        wiring.connect(m, reader.memory, wiring.flipped(self.memory))
        address, origin = (Signal.like(self.base, name=name, reset_less=True) for name in ("address", "origin"))
        at = Signal.like(self.plane, name="at", reset_less=True)
        active, walks, falls = Signal(), Signal(reset_less=True), Signal(reset_less=True)
        epoch = Signal()  # of the words that are not dropped
        at_first = named(m, at == self.plane, "at_first")
        there = named(m, ~walks | at_first, "there")
        moves = named(m, active & (~there | reader.addresses.ready), "moves")
        at_last = named(m, there & (at == self.last), "at_last")
        loops, turns = named(m, at_last & self.looping, "loops"), named(m, falls | at_last & self.falling, "turns")
        ends = named(m, ~self.looping & Mux(self.falling, turns & at_first, at_last), "ends")

        start, step = Mux(loops, origin, address), Mux(turns, ~self.pitch, self.pitch)
        start, step = Mux(self.begin, self.base, start), Mux(self.begin, self.location, Mux(loops, 1, step))
        following = named(m, (start + step + (turns & ~self.begin))[: len(address)], "following")
        with m.If(self.begin | moves):
            m.d.sync += [address.eq(following), walks.eq(self.begin | ~there)]
            m.d.sync += at.eq(Mux(self.begin | loops, 0, at + Mux(turns, ~Const(0, len(at)), 1)))
            m.d.sync += falls.eq(turns & ~self.begin)
        with m.If(self.begin | (moves & loops)):
            m.d.sync += origin.eq(following)
        with m.If(self.stop):
            m.d.sync += epoch.eq(~epoch)
        with m.If(self.begin | self.stop | (moves & ends)):
            m.d.sync += active.eq(self.begin)

        stale = reader.words.p.mark != epoch
        m.d.comb += [
            reader.addresses.valid.eq(active & there),
            reader.addresses.p.value.eq(address),
            reader.addresses.p.mark.eq(epoch),
            self.words.valid.eq(reader.words.valid & ~stale),
            self.words.payload.eq(reader.words.p.value),
            reader.words.ready.eq(stale | self.words.ready),
        ]
        return m
