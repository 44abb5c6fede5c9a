"""One slice of a `rice` stream: its bits, where its next symbol begins, and its weights of the beat."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from roundel.golden.bits import WORD
from roundel.golden.codec import DecoderParams
from roundel.hw.decoder.contract import MAX_SEGMENT, header_layout
from roundel.hw.decoder.rice_symbol import MOST_ZEROS, RiceSymbol, field
from roundel.hw.lib import Component, In, Out, named


def most_rows(params: DecoderParams) -> int:
    """Rows of a slice in the largest segment."""
    return MAX_SEGMENT // params.slices


class RiceSlice(Component):
    """Decodes one symbol in a cycle with `decode`; what it says of itself is true from the next one on.

    The word is offered to all slices alike. One that does not take it sees meaningless bits behind its own: they cannot
    make a complete symbol incomplete, nor the other way round.

    Parameters
    ----------
    params
        The decoder.
    """

    def __init__(self, params: DecoderParams):
        self.decoder = params
        self.depth = params.lanes // params.slices
        rows = most_rows(params)
        self.symbol = RiceSymbol(width=params.width, rows=rows)
        super().__init__(
            header=In(header_layout(), "The stream's header."),
            start=In(1, "The next cycle is the first of a segment."),
            rows=In(range(rows + 1), "Rows of the segment from the beat's first on."),
            short=In(1, "The slice has one row less."),
            step=In(1, "The beat leaves: the next cycle, and `decode` in this one, belong to the beat after it."),
            word=In(WORD, "The next word of the stream, offered to all slices."),
            decode=In(1, "Decode the symbol."),
            take=In(1, "The word is taken for the symbol."),
            now=Out(1, "The next symbol begins in this beat."),
            next=Out(1, "The next symbol begins in the beat after this one."),
            lacks=Out(1, "The symbol needs the word."),
            codes=Out(
                data.ArrayLayout(params.width, self.depth),
                "(lanes / slices,) codes of the beat, complete when not `now`.",
            ),
            wrong=Out(1, "The last symbol ran past the last row, or its level is outside the codebook."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.symbol = symbol = self.symbol
        m.d.comb += symbol.header.eq(self.header)
        self._bits(m)

        depth_bits = self.depth.bit_length() - 1
        row = Signal(range(self.depth + MOST_ZEROS))  # of the next symbol, from the beat's first on
        place, beats = row[:depth_bits], row[depth_bits:]
        m.d.comb += [
            # Only asked for in this beat and in the next one.
            symbol.left.eq(self.rows - row[: depth_bits + 1] - self.short),
            self.now.eq((beats == 0) & symbol.left.any()),
            self.next.eq((beats == 1) & symbol.left.any()),
        ]
        with m.If(self.start):
            m.d.sync += row.eq(0)
        with m.Elif(self.decode):
            m.d.sync += row.eq(place + symbol.zeros + symbol.coded)
        with m.Elif(self.step):
            m.d.sync += beats.eq(beats - 1)
        self._beat(m, self._code(m), place, beats)
        return m

    def _bits(self, m: Module) -> None:
        """Hold bits of the slice: the highest `fill` of `held`."""
        held, fill = Signal(WORD - 1, reset_less=True), Signal(range(WORD))
        over = Signal(range(-WORD, WORD))
        m.d.comb += [
            self.symbol.window.eq(field(Cat(held, self.word), ~fill, WORD)),
            over.eq(fill - self.symbol.run_length - self.symbol.level_length),
            self.lacks.eq(over < 0),
        ]
        with m.If(self.start):
            m.d.sync += fill.eq(0)
        with m.Elif(self.decode):
            m.d.sync += fill.eq(over[: len(fill)])  # modulo 32: a word adds 32
        with m.If(self.take):
            m.d.sync += held.eq(self.word[1:])

    def _code(self, m: Module) -> Value:
        """Return the code of the last symbol, 0 if it has none; drives `wrong`."""
        symbol, width = self.symbol, self.decoder.width
        coded, wrong, rank = Signal(), Signal(), Signal(width, reset_less=True)
        with m.If(self.start):
            m.d.sync += [coded.eq(0), wrong.eq(0)]
        with m.Elif(self.decode):
            m.d.sync += [coded.eq(symbol.coded), wrong.eq(symbol.wrong), rank.eq(symbol.rank)]
        if self.decoder.table:
            code = named(m, (rank + 1)[:width], "code")
            fits = rank + 1 < self.header.codes
        else:
            # -base, base, -(base + 1), base + 1, ...: `-x` is `~(x - 1)`.
            size = named(m, (self.header.base - 1)[: width - 1] + rank[1:] + rank[0], "size")
            code = named(m, (size ^ (~rank[0]).replicate(len(size)))[:width], "code")
            fits = ~size[width - 1 :].any()
        m.d.comb += self.wrong.eq(wrong | (coded & ~fits))
        return code & coded.replicate(width)

    def _beat(self, m: Module, code: Value, place: Value, beats: Value) -> None:
        """Gather the weights of the beat: the code is that of the row before `place`, which is the next symbol's.

        The last row needs no register, as the slice then stands still until the beat leaves.
        """
        width = self.decoder.width
        this_beat, next_beat = named(m, beats == 0, "this_beat"), named(m, beats == 1, "next_beat")
        after = named(m, Mux(self.step, next_beat, this_beat), "after")
        for index in range(self.depth - 1):
            gathered = Signal(width, name=f"gathered{index}")
            here = code & (place == index + 1).replicate(width)
            m.d.comb += self.codes[index].eq(gathered | (here & this_beat.replicate(width)))
            with m.If(self.start):
                m.d.sync += gathered.eq(0)
            with m.Elif(self.step | self.decode):
                kept = gathered & (~self.step).replicate(width)
                m.d.sync += gathered.eq(kept | (here & after.replicate(width)))
        at_end = next_beat & ~place.any() if self.depth > 1 else next_beat
        m.d.comb += self.codes[self.depth - 1].eq(code & at_end.replicate(width))
