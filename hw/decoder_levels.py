"""The table of levels that a stream brings."""

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.arith import select


class LevelTable(wiring.Component):
    """Written a level per cycle, looked up by all lanes at once.

    Parameters
    ----------
    width
        Bits of a code, 2 to 5.
    lanes
        Codes that are looked up.

    Members
    -------
    index : In(8), level : In(8), write : In(1)
        The level of code `index`; codes that the table does not have are not kept.
    wrong : Out(1)
        `level` is one that was there before, or not 0 for code 0.
    codes : In(width), weights : Out(signed(8)), one of each per lane
        Flattened, lane 0 at the bottom.
    """

    def __init__(self, width: int, lanes: int):
        self.width, self.lanes = width, lanes
        super().__init__(
            {
                "index": In(8),
                "level": In(8),
                "write": In(1),
                "wrong": Out(1),
                "codes": In(width * lanes),
                "weights": Out(8 * lanes),
            }
        )

    def elaborate(self, platform):
        m = Module()
        levels: list[Value] = [
            Signal(signed(8), name=f"level_of_{code}", reset_less=True) for code in range(1 << self.width)
        ]
        m.d.comb += levels[0].eq(0)
        repeated = [(self.index > code) & (self.level == level.as_unsigned()) for code, level in enumerate(levels)]
        m.d.comb += self.wrong.eq(Cat(*repeated, (self.index == 0) & self.level.any()).any())
        for code, level in enumerate(levels[1:], start=1):
            with m.If(self.write & (self.index == code)):
                m.d.sync += level.eq(self.level)
        m.d.comb += self.weights.eq(Cat(select(levels, code) for code in self._each()))
        return m

    def _each(self) -> list[Value]:
        return [self.codes.word_select(lane, self.width) for lane in range(self.lanes)]
