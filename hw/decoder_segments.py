"""Counts down the weights of a stream, segment by segment, and the words of a segment, beat by beat of the bus."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden.bits import WORD
from golden.decoder import DecoderParams
from hw.arith import named
from hw.decoder_core import MAX_SEGMENT

LENGTH = 17
"""Bits of the words left in a segment. No decoder uses up more than 2^17 - 1 of them: a symbol has at most 32 bits, and
a segment 65536 weights. A greater length is as good as that."""


class SegmentCounter(wiring.Component):
    """How much of a stream is still to come.

    Parameters
    ----------
    params
        See `golden.decoder.DecoderParams`.

    Members
    -------
    word : In(32), announce : In(1), begin : In(1)
        The word says how many weights the stream has, or how many words the segment that begins.
    below : In(16)
        Ones in place of the bits of a number of weights that are less than a whole segment.
    room : In(range(words + 1)), whole : In(range(words + 1)), final : In(1)
        Words that the bus offers; how many it would if there were more behind them; that there are none.
    take : In(1)
        Those of the segment are taken.
    weights : Out(17), more : Out(1), ending : Out(1)
        Of this segment or the next; whether there is one; and none behind it.
    size : Out(range(words + 1)), within : Out(1)
        Words of the segment among those that the bus offers; whether they are its last.
    first : Out(1)
        None of the segment was taken yet.
    void : Out(1)
        The segment has no words, or not all that it should: the stream ended.
    """

    def __init__(self, params: DecoderParams):
        words = range(params.words + 1)
        super().__init__(
            {
                "word": In(WORD),
                "announce": In(1),
                "begin": In(1),
                "below": In(16),
                "room": In(words),
                "whole": In(words),
                "final": In(1),
                "take": In(1),
                "weights": Out(range(MAX_SEGMENT + 1)),
                "more": Out(1),
                "ending": Out(1),
                "size": Out(words),
                "within": Out(1),
                "first": Out(1),
                "void": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = Signal(WORD, reset_less=True)  # weights that are not yet complete
        left = Signal(LENGTH, reset_less=True)  # words
        first = Signal(reset_less=True)
        below = Cat(self.below, Const(0, WORD - len(self.below)))
        full = named(m, (count & ~below).any(), "full")
        segment = named(m, (below + 1) & ~below, "segment")
        after = named(m, Mux(full, (count - segment)[:WORD], 0), "after")
        small = len(self.room)
        m.d.comb += [
            self.weights.eq(Mux(full, segment, count)),
            self.more.eq(count.any()),
            self.ending.eq(~after.any()),
            self.within.eq(~left[small:].any() & (left[:small] <= self.room)),
            self.size.eq(Mux(self.within, left, self.room)),
            self.first.eq(first),
            self.void.eq(~left.any()),
        ]
        with m.If(self.announce):
            m.d.sync += count.eq(self.word)
        with m.Elif(self.take & self.within):
            m.d.sync += count.eq(after)
        with m.If(self.begin):
            m.d.sync += [first.eq(1), left.eq(self.word[:LENGTH] | self.word[LENGTH:].any().replicate(LENGTH))]
        with m.Elif(self.take):
            m.d.sync += [first.eq(0), left.eq(Mux(self.final, 0, left - self.whole))]
        return m
