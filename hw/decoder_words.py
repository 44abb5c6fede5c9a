"""The words of a byte stream, one after the other, and where they are in it."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.bits import WORD
from golden.decoder import DecoderParams
from hw.arith import named, select

POSITION = 37  # bits of a position in a stream: words are counted modulo 2^32


def input_layout(params: DecoderParams) -> data.StructLayout:
    """A beat of AXI4-Stream: `keep` has ones for the bytes that are there, all of them but in the `last` beat."""
    return data.StructLayout({"data": params.bus, "keep": params.bus // 8, "last": 1})


class WordCursor(wiring.Component):
    """Stands at a word of the beat that the bus offers. The last beat of a stream stays until `finish`.

    Parameters
    ----------
    params
        See `golden.decoder.DecoderParams`.

    Members
    -------
    inputs : In(stream.Signature(input_layout(params)))
    index, size : Out(range(words + 1))
        Of the word in this beat, and how many words the beat has.
    word : Out(32), there : Out(1)
        The word at `index`, if there is one.
    ended : Out(1)
        There is none, nor will there be.
    base, size_bytes : Out
        Bit 0 of this beat in the stream; bytes of this beat, of an incomplete word too.
    go : In(1), to : In(range(words + 1))
        Go on to that word of this beat, or to the next beat if there are no more.
    drop : In(1)
        Take the beat, unless it is the last.
    finish : In(1)
        Take the last beat.
    """

    def __init__(self, params: DecoderParams):
        self.params = params
        words = range(params.words + 1)
        super().__init__(
            {
                "inputs": In(stream.Signature(input_layout(params))),
                "index": Out(words),
                "size": Out(words),
                "word": Out(WORD),
                "there": Out(1),
                "ended": Out(1),
                "base": Out(POSITION),
                "size_bytes": Out(range(params.bus // 8 + 1)),
                "go": In(1),
                "to": In(words),
                "drop": In(1),
                "finish": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bus, beat = self.params.bus, self.inputs.p
        beats = Signal(POSITION - (bus.bit_length() - 1))
        kept = [beat.keep[: byte + 1].all() for byte in range(bus // 8)]
        m.d.comb += [
            self.size_bytes.eq(Mux(beat.last, sum(kept), len(kept))),
            self.size.eq(self.size_bytes >> 2),
            self.there.eq(self.inputs.valid & (self.index != self.size)),
            self.ended.eq(self.inputs.valid & (self.index == self.size)),
            self.word.eq(select([beat.data.word_select(at, WORD) for at in range(self.params.words)], self.index)),
            self.base.eq(beats << (bus.bit_length() - 1)),
        ]
        through = named(m, (self.go & (self.to == self.params.words) | self.drop) & ~beat.last, "through")
        m.d.comb += self.inputs.ready.eq(through | self.finish)
        with m.If(self.go):
            m.d.sync += self.index.eq(self.to)
        with m.If(through & self.inputs.valid):
            m.d.sync += [self.index.eq(0), beats.eq(beats + 1)]
        with m.If(self.finish):
            m.d.sync += [self.index.eq(0), beats.eq(0)]
        return m
