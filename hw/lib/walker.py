"""Addresses of nested loops, one a cycle."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring

from roundel.hw.lib.arith import named
from roundel.hw.lib.ports import Component, In, Out


class Walker(Component):
    """`base + sum(index * step)` for all indices below their counts, the first loop innermost.

    The first address is there in the cycle after `start`, the next one in the cycle after a transfer: nothing is
    lost where loops end. Each loop keeps the address at which its next round begins, and one adder suffices for it:
    the innermost loop that goes on says where, and all loops within it begin from there.

    Parameters
    ----------
    address
        Bits of an address; sums are modulo their power of two.
    loops
        Bits of each loop's count by name, the innermost loop first.
    """

    def __init__(self, *, address: int, loops: Mapping[str, int]):
        self.loops = dict(loops)
        flags = wiring.Signature({name: wiring.Out(1) for name in loops})
        super().__init__(
            start=In(1, "Begin, while no address is offered."),
            base=In(address, "The first address, used with `start`."),
            counts=In(
                wiring.Signature({name: wiring.Out(bits) for name, bits in loops.items()}),
                "Rounds of each loop by name, at least one. Counts stand still until the end, but may change with "
                "`upcoming`: a loop takes its count whenever it begins.",
            ),
            steps=In(
                wiring.Signature({name: wiring.Out(address) for name in loops}),
                "Distance from round to round of each loop by name. Steps stand still until the end.",
            ),
            addresses=Out(stream.Signature(address), "The addresses, one a cycle."),
            ends=Out(flags, "By name: the loop is in its last round, with this address."),
            upcoming=Out(flags, "By name: the loop will be in its last round in the next cycle."),
            last=Out(1, "This address is the last of all."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        following = {name: Signal.like(self.base, name=f"following_{name}", reset_less=True) for name in self.loops}
        origin = Signal.like(self.base)  # where the next address is
        advance = named(m, self.addresses.valid & self.addresses.ready, "advance")
        m.d.comb += origin.eq(self.base)
        for name in reversed(self.loops):
            with m.If(~self.start & ~getattr(self.ends, name)):
                m.d.comb += origin.eq(following[name])
        with m.If(self.start | advance):
            m.d.sync += [self.addresses.payload.eq(origin), self.addresses.valid.eq(self.start | ~self.last)]
        within = Const(1)  # whether all loops within are in their last round
        for name, bits in self.loops.items():
            count, end, upcoming = (getattr(port, name) for port in (self.counts, self.ends, self.upcoming))
            left = Signal(bits, name=f"left_{name}", reset_less=True)  # rounds, the present one included
            begin = self.start | end
            moves = named(m, self.start | (advance & within), f"moves_{name}")
            m.d.comb += upcoming.eq(Mux(moves, Mux(begin, count == 1, left == 2), end))
            m.d.sync += end.eq(upcoming)
            with m.If(moves):
                m.d.sync += left.eq(Mux(begin, count, left - 1))
                m.d.sync += following[name].eq(origin + getattr(self.steps, name))
            within = within & end
        m.d.comb += self.last.eq(within)
        return m
