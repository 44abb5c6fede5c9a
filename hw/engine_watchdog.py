"""Notices when the engine's units wait for each other for ever."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

QUIET = 256  # cycles without anything while no unit has work: they wait for tokens that nobody will give
PATIENCE = 1 << 16  # cycles without anything while one has: longer than the box unit is ever busy with itself


class Watchdog(wiring.Component):
    """Counts cycles in which nothing happened.

    Members
    -------
    progress : In(1)
        Something moved, or the bus owes an answer.
    active : In(1)
        A unit has a descriptor at work.
    expired : Out(1)
        Held.
    """

    def __init__(self) -> None:
        super().__init__({"progress": In(1), "active": In(1), "expired": Out(1)})

    def elaborate(self, platform):
        m = Module()
        moved, count = Signal(), Signal(range(PATIENCE))
        m.d.sync += [moved.eq(self.progress), count.eq(Mux(moved, 0, count + 1))]
        with m.If(~moved & Mux(self.active, count.all(), count[QUIET.bit_length() - 1 :].any())):
            m.d.sync += self.expired.eq(1)
        return m
