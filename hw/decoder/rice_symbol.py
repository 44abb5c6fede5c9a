"""One symbol of a `rice` stream, a run of zeros and the level behind it, read from a window of bits in one cycle."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Value

from roundel.golden.bits import WORD
from roundel.golden.codec import RUN_LIMIT
from roundel.hw.decoder.contract import header_layout
from roundel.hw.lib import Component, In, Out, named

MOST_ZEROS = RUN_LIMIT << 9
"""Of one symbol."""


class RiceSymbol(Component):
    """Combinational; `docs/codecs.md` defines the bits. Bits of the window behind the symbol have no influence.

    Parameters
    ----------
    width
        Bits of a code.
    rows
        Most rows that a slice can have.
    """

    def __init__(self, *, width: int, rows: int):
        super().__init__(
            header=In(header_layout(), "The stream's header."),
            window=In(WORD, "The next bits of the slice."),
            left=In(
                range(rows + 1), "Rows that the slice has left: a run that reaches the last of them ends the symbol."
            ),
            zeros=Out(range(MOST_ZEROS + 1), "Rows of zeros."),
            coded=Out(1, "A level follows the zeros."),
            rank=Out(width, "Number of the level."),
            wrong=Out(1, "There are more zeros than rows left, or the level's number does not fit `rank`."),
            run_length=Out(range(18), "Bits of the run; those of the symbol are the sum with `level_length`."),
            level_length=Out(range(16), "Bits of the level."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        run_bits = self.header.run_bits
        ones = named(m, trailing_ones(self.window[:7]), "run_ones")
        goes_on = named(m, self.window[:RUN_LIMIT].all(), "run_goes_on")
        rest = named(m, field(self.window[1:], ones, 24), "run_rest")
        low = rest[:9] & ones_below(run_bits, 9) & ~goes_on.replicate(9)
        m.d.comb += [
            self.zeros.eq((Cat(ones & ~goes_on.replicate(3), goes_on) << run_bits)[: len(self.zeros)] | low),
            self.coded.eq(~goes_on & (self.zeros != self.left)),
            self.run_length.eq(Mux(goes_on, RUN_LIMIT, ones + (run_bits + 1))),
        ]
        length, large = self._level(m, named(m, field(rest, run_bits, 15), "level"))
        past = named(m, self.zeros > self.left, "past")
        m.d.comb += [
            self.level_length.eq(length & self.coded.replicate(len(length))),
            self.wrong.eq(past | (self.coded & large)),
        ]
        return m

    def _level(self, m: Module, level: Value) -> tuple[Value, Value]:
        """Read the number of the level at bit 0; returns its length, 0 to 15, and 1 if `rank` is too small for it."""
        header = self.header
        limit = ones_below(header.level_limit, 7)
        ones = named(m, trailing_ones(level[:7] & limit), "level_ones")
        ended = named(m, (~level[:7] & limit).any(), "level_ended")
        rest = field(level, ones, 9)
        low = Mux(ended, rest[1:9] & ones_below(header.level_bits, 8), rest[:8] & ones_below(header.level_extra, 8))
        width = len(self.rank)
        high = named(m, (ones << header.level_bits)[:11], "level_high")
        rank = named(m, high[:width] + low[:width], "level_rank")
        large = Cat(high[width:], low[width:], rank[width]).any()
        m.d.comb += self.rank.eq(rank)
        return named(m, (ones + Mux(ended, header.level_bits + 1, header.level_extra))[:4], "level_length"), large


def field(bits: Value, first: Value, width: int) -> Value:
    """`width` of the bits from `first` on, zeros above them.

    The largest shift comes first, as it leaves the least to be shifted by the others.
    """
    for place in reversed(range(len(first))):
        most = width + (1 << place) - 1
        bits = Mux(first[place], bits[1 << place :][:most], bits[:most])
    return bits[:width]


def trailing_ones(bits: Value) -> Value:
    """How many of 7 bits are below the lowest zero: 3 bits."""
    four = bits[:4].all()
    two = Mux(four, bits[4:6], bits[:2]).all()
    one = Mux(four, Mux(two, bits[6], bits[4]), Mux(two, bits[2], bits[0]))
    return Cat(one, two, four)


def ones_below(count: Value, width: int) -> Value:
    """`count` ones from bit 0 on, in `width` bits: the mask of a field of that length."""
    return Cat(count > bit for bit in range(width))
