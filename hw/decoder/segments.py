"""Counts down the weights of a stream, segment by segment, and the words of a segment, beat by beat of the bus."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from roundel.golden.bits import WORD
from roundel.golden.codec import DecoderParams
from roundel.hw.decoder.contract import MAX_SEGMENT
from roundel.hw.lib import named

LENGTH = 17
"""Bits of the words left in a segment. No decoder uses up more than 2^17 - 1 of them: a symbol has at most 32 bits, and
a segment 65536 weights. A greater length is as good as that."""


class SegmentCounter(wiring.Component):
    """How much of a stream is still to come.

    Parameters
    ----------
    params
        See `roundel.golden.codec.decoder.DecoderParams`.

    Members
    -------
    word : In(32), announce : In(1), begin : In(1)
        The word says how many weights the stream has, or how many words the segment that begins.
    below : In(16)
        Ones in place of the bits of a number of weights that are less than a whole segment.
    start : In(range(words))
        Where in its beat of the bus the segment begins that is announced by `begin`.
    index : In(range(words + 1)), size : In(range(words + 1))
        Words of this beat before the next one, and in all.
    take : In(1)
        Those of the segment in this beat are taken.
    complete : In(1)
        So are its weights.
    weights : Out(17), more : Out(1), ending : Out(1)
        Of this segment or the next; whether there is one; and none behind it.
    end : Out(range(words + 1)), within : Out(1)
        Where in this beat the segment ends, and whether it does; or else the beat.
    ends : Out(1), reaches : Out(1)
        If the beat is whole: the segment ends in it; it has the beat's last word.
    first : Out(1)
        None of the segment was taken yet.
    void : Out(1)
        The segment has no words; only to be asked before any are taken.
    """

    def __init__(self, params: DecoderParams):
        words = range(params.words + 1)
        self.words = params.words
        super().__init__(
            {
                "word": In(WORD),
                "announce": In(1),
                "begin": In(1),
                "below": In(16),
                "start": In(range(max(2, params.words))),
                "index": In(words),
                "size": In(words),
                "take": In(1),
                "complete": In(1),
                "weights": Out(range(MAX_SEGMENT + 1)),
                "more": Out(1),
                "ending": Out(1),
                "end": Out(words),
                "within": Out(1),
                "ends": Out(1),
                "reaches": Out(1),
                "first": Out(1),
                "void": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        count = Signal(WORD, reset_less=True)  # weights that are not yet complete
        left = Signal(LENGTH + 1, reset_less=True)  # words, from the first of this beat on
        first = Signal(reset_less=True)
        below = Cat(self.below, Const(0, WORD - len(self.below)))
        full = named(m, (count & ~below).any(), "full")
        segment = Cat(Const(1, 1), self.below) & ~Cat(self.below, Const(0, 1))  # below + 1, without a carry
        after = named(m, ((count + ~below)[:WORD] & full.replicate(WORD)), "after")  # ~below is -segment
        small = len(self.end) + 1
        low, high = left[:small], named(m, left[small:].any(), "high")
        m.d.comb += [
            self.weights.eq(Mux(full, segment, count)),
            self.more.eq(count.any()),
            self.ending.eq(~after.any()),
            self.within.eq(~high & (low <= self.size)),
            self.ends.eq(~high & (low <= self.words)),
            self.reaches.eq(high | (low >= self.words)),
            self.end.eq(Mux(self.within, low, self.size)),
            self.first.eq(first),
            self.void.eq(~high & (low == self.index)),
        ]
        with m.If(self.announce):
            m.d.sync += count.eq(self.word)
        with m.Elif(self.complete):
            m.d.sync += count.eq(after)
        with m.If(self.begin):
            large = self.word[LENGTH:].any().replicate(LENGTH + 1)
            m.d.sync += [first.eq(1), left.eq((self.word[:LENGTH] + self.start) | large)]
        with m.Elif(self.take):
            m.d.sync += [first.eq(0), left.eq(left - self.words)]
        return m
