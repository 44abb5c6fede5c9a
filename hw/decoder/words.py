"""The words of a byte stream, one after the other, and where they are in it."""

from typing import Any

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import data, stream

from roundel.golden.bits import WORD
from roundel.golden.codec import DecoderParams
from roundel.hw.axi import read_layout
from roundel.hw.lib import Component, In, Out, named, select

POSITION = 37  # bits of a position in a stream: words are counted modulo 2^32


def input_layout(params: DecoderParams) -> data.StructLayout:
    """Return a beat of AXI4-Stream: `keep` has ones for the bytes that are there, all but in the `last` beat."""
    return read_layout(params.bus)


class WordCursor(Component):
    """Stands at a word of the beat that the bus offers. The last beat of a stream stays until `finish`.

    Parameters
    ----------
    params
        See `roundel.golden.codec.decoder.DecoderParams`.
    """

    def __init__(self, params: DecoderParams):
        self.params = params
        words = range(params.words + 1)
        super().__init__(
            inputs=In(stream.Signature(input_layout(params)), "The bytes of the streams."),
            index=Out(words, "Number of the word in this beat."),
            size=Out(words, "Words of this beat."),
            word=Out(WORD, "The word at `index`."),
            there=Out(1, "The word is there."),
            ended=Out(1, "There is no word, nor will there be."),
            base=Out(POSITION, "Position of bit 0 of the beat that was here in the cycle before."),
            size_bytes=Out(range(params.bus // 8 + 1), "Bytes of this beat, those of an incomplete word too."),
            go=In(1, "Go on to word `to` of this beat, or to where the beat ends."),
            to=In(words, "The word to go to."),
            leave=In(1, "If the beat is whole, `to` is its end."),
            drop=In(1, "Take the beat, unless it is the last."),
            passes=Out(1, "The beat is taken, and is not the last."),
            finish=In(1, "Take the last beat."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        bus, words, beat = self.params.bus, self.params.words, self.inputs.p
        beats, passed = Signal(POSITION - (bus.bit_length() - 1)), Signal()
        kept = [~beat.last | beat.keep[: byte + 1].all() for byte in range(bus // 8)]
        some = named(m, select([*kept[3::4], Const(0)], self.index), "some")
        m.d.comb += [
            self.size_bytes.eq(sum(kept)),
            self.size.eq(sum(kept[3::4])),
            self.there.eq(self.inputs.valid & some),
            self.ended.eq(self.inputs.valid & ~some),
            self.word.eq(select([beat.data.word_select(at, WORD) for at in range(words)], self.index)),
            self.base.eq(beats << (bus.bit_length() - 1)),
        ]
        through = named(m, (self.go & self.leave | self.drop) & ~beat.last, "through")
        m.d.comb += [self.inputs.ready.eq(through | self.finish), self.passes.eq(through & self.inputs.valid)]
        m.d.sync += passed.eq(self.passes)
        with m.If(self.go):
            m.d.sync += self.index.eq(self.to)
        with m.If(self.passes):
            m.d.sync += self.index.eq(0)
        with m.If(passed):  # a cycle later, as `passes` comes late
            m.d.sync += beats.eq(beats + 1)
        with m.If(self.finish):
            m.d.sync += [self.index.eq(0), beats.eq(0)]
        return m
