"""The words of a segment, one after the other, for a decoder of `rice` streams."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import stream

from roundel.golden.bits import WORD
from roundel.golden.codec import DecoderParams
from roundel.hw.decoder.contract import chunk_layout
from roundel.hw.lib import Component, In, Out, named, select


def reach(params: DecoderParams) -> int:
    """How far the words of a round, one for each slice at most, can lie from the chunk; in bits, exclusive."""
    return WORD * max(params.words, params.slices) + 1


class RiceWords(Component):
    """Points into the chunk that is offered; has no buffer of its own.

    Parameters
    ----------
    params
        The decoder.
    """

    def __init__(self, params: DecoderParams):
        self.decoder = params
        bit = signed((reach(params) - 1).bit_length() + 1)
        super().__init__(
            chunks=In(
                stream.Signature(chunk_layout(params)), "Payload of the segments, see `roundel.hw.decoder.contract`."
            ),
            start=In(1, "A chunk is offered, the first of a segment: point to its first word."),
            round=In(1, "The next word is the first that a round can take."),
            word=Out(WORD, "The next word."),
            some=Out(1, "There is a next word."),
            take=In(1, "Go on to the word after it."),
            used_up=Out(1, "The segment has no more words."),
            finish=In(1, "The segment is used up, and complete: let its last chunk go."),
            next_bit=Out(bit, "Position of the next word, from the chunk's bit 0."),
            round_bit=Out(bit, "Position of the word that was next when the round began, from the chunk's bit 0."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        chunk, words = self.chunks.payload, self.decoder.words
        at = Signal(range(words + 1))  # words of the chunk that are taken or not of the segment
        taken = Signal(range(self.decoder.slices + 1))  # words since the round began
        after = named(m, at + 1, "after")
        rest = named(m, at != chunk.end, "rest")
        m.d.comb += [
            self.word.eq(select([chunk.data.word_select(index, WORD) for index in range(words)], at)),
            self.some.eq(self.chunks.valid & rest),
            self.used_up.eq(self.chunks.valid & chunk.last & ~rest),
            self.chunks.ready.eq(self.finish | (self.take & ~chunk.last & (after == chunk.end))),
            self.next_bit.eq(at << 5),
            self.round_bit.eq((at - taken) << 5),
        ]
        with m.If(self.start):
            m.d.sync += at.eq(chunk.start)
        with m.Elif(self.chunks.ready):
            m.d.sync += at.eq(0)
        with m.Elif(self.take):
            m.d.sync += at.eq(after)
        m.d.sync += taken.eq(Mux(self.round, 0, taken) + self.take)
        return m
