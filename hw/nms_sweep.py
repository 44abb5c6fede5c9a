"""Clearing of the window tables: after a reset, and when all epochs have been used."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class Sweep(wiring.Component):
    """Walks through all addresses of the tables, one a cycle, and keeps boxes out meanwhile.

    An epoch that comes again would make entries of long ago valid, and a reset does not reach into memories.

    Parameters
    ----------
    addresses
        How many there are.
    drain
        Cycles after which nothing is on its way any more, once no image is held.

    Members
    -------
    worn : In(1)
        No epoch is left for the next image.
    held : In(1)
        Images are being filled or read.
    pause : Out(1)
        Take no box.
    clear : Out(1), address : Out
    restart : Out(1)
        All is clear: begin with the first epoch.
    """

    def __init__(self, addresses: int, drain: int):
        self.addresses, self.drain = addresses, drain
        super().__init__(
            {
                "worn": In(1),
                "held": In(1),
                "pause": Out(1),
                "clear": Out(1),
                "address": Out(range(max(2, addresses))),
                "restart": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        sweeping, still = Signal(init=1), Signal(range(self.drain + 1))
        m.d.comb += [
            self.pause.eq(sweeping | self.worn),
            self.clear.eq(sweeping),
            self.restart.eq(sweeping & (self.address == self.addresses - 1)),
        ]
        with m.If(sweeping):
            m.d.sync += self.address.eq(self.address + 1)
            with m.If(self.restart):
                m.d.sync += [sweeping.eq(0), self.address.eq(0)]
        with m.Elif(~self.worn | self.held):
            m.d.sync += still.eq(0)
        with m.Elif(still != self.drain):
            m.d.sync += still.eq(still + 1)
        with m.Else():
            m.d.sync += sweeping.eq(1)
        return m
