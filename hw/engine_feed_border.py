"""Which lanes of a beat lie outside the map."""

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hw.engine_feed_tiles import BORDER


class Border(wiring.Component):
    """Compares the lanes' bytes with a row's ends. One beat a cycle; it never waits.

    Parameters
    ----------
    lanes
        Bytes of a beat, a power of two.

    Members
    -------
    byte : In(BORDER), inside : In(1)
        Of lane 0 in its row; whether the row is one of the map.
    row_bytes : In(16)
    outside : Out(lanes)
        `LATENCY` cycles later.
    """

    LATENCY = 2

    def __init__(self, lanes: int):
        self.lanes = lanes
        super().__init__({"byte": In(BORDER), "inside": In(1), "row_bytes": In(16), "outside": Out(lanes)})

    def elaborate(self, platform):
        m = Module()
        inside = Signal(reset_less=True)
        left = Signal(BORDER, reset_less=True)  # lane 0, counted from the left end
        right = Signal(BORDER.width + 1, reset_less=True)  # the right end, counted from lane 0: two's complement
        m.d.sync += [inside.eq(self.inside), left.eq(self.byte), right.eq(self.row_bytes - self.byte)]
        m.d.sync += self.outside.eq(~inside.replicate(self.lanes) | self._before(left) | self._behind(right))
        return m

    def _before(self, left: Value) -> Value:
        """Lanes before the left end: left + lane < 0."""
        bits = self.lanes.bit_length() - 1
        low, near, negative = left[:bits], left[bits:].all(), left[-1]
        return Cat(negative & (~near | (low < self.lanes - lane)) for lane in range(self.lanes))

    def _behind(self, right: Value) -> Value:
        """Lanes behind the right end: lane >= right."""
        bits = self.lanes.bit_length() - 1
        low, near, negative = right[:bits], ~right[bits:].any(), right[-1]
        return Cat(negative | near & (low <= lane) for lane in range(self.lanes))
