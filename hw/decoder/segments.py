"""Counts down the weights of a stream, segment by segment, and the words of a segment, beat by beat of the bus."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal

from roundel.golden.bits import WORD
from roundel.golden.codec import DecoderParams
from roundel.hw.decoder.contract import MAX_SEGMENT
from roundel.hw.lib import Component, In, Out, named

LENGTH = 17
"""Bits of the words left in a segment. No decoder uses up more than 2^17 - 1 of them: a symbol has at most 32 bits, and
a segment 65536 weights. A greater length is as good as that."""


class SegmentCounter(Component):
    """How much of a stream is still to come.

    Parameters
    ----------
    params
        See `roundel.golden.codec.decoder.DecoderParams`.
    """

    def __init__(self, params: DecoderParams):
        words = range(params.words + 1)
        self.words = params.words
        super().__init__(
            word=In(WORD, "A word of the stream: a count of weights, or of words."),
            announce=In(1, "The word is the number of weights of the stream."),
            begin=In(1, "The word is the number of words of the segment that begins."),
            below=In(16, "Ones in place of the bits of a number of weights that are less than a whole segment."),
            start=In(
                range(max(2, params.words)),
                "Word of its beat of the bus at which the segment announced by `begin` begins.",
            ),
            index=In(words, "Words of this beat before the next one."),
            size=In(words, "Words of this beat in all."),
            take=In(1, "The words of the segment in this beat are taken."),
            complete=In(1, "The weights of the segment are complete."),
            weights=Out(range(MAX_SEGMENT + 1), "Weights of this segment or the next."),
            more=Out(1, "There is such a segment."),
            ending=Out(1, "There is no segment behind it."),
            end=Out(words, "Word of this beat at which the segment ends, or else the beat."),
            within=Out(1, "The segment ends in this beat."),
            ends=Out(1, "If the beat is whole: the segment ends in it."),
            reaches=Out(1, "If the beat is whole: the segment has its last word."),
            first=Out(1, "No word of the segment was taken yet."),
            void=Out(1, "The segment has no words; only to be asked before any are taken."),
        )

    def elaborate(self, platform: Any) -> Module:
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
