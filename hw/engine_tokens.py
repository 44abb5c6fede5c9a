"""Starts the descriptors of the engine's units when their tokens are there."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hw.arith import named

WIDTH = 8  # bits of a count of tokens


def flags_layout() -> data.StructLayout:
    """What a descriptor says about tokens, in the order of `golden.program.COMMON`."""
    return data.StructLayout(
        dict.fromkeys(("wait_previous", "wait_next", "signal_previous", "signal_next"), 1),
    )


class Tokens(wiring.Component):
    """Counts tokens between neighbouring units. A unit starts two cycles after its last token was given.

    There are none at the outer ends: a descriptor that waits for one of those never starts.

    Parameters
    ----------
    units
        How many, in the order of the engine's units.

    Members
    -------
    there : In(units)
        A descriptor stands at the head of the unit's queue; it stays until `done`.
    flags : In(flags_layout()).array(units)
        Of that descriptor.
    done : In(units)
        The unit is through with it; it leaves the queue.
    start : Out(units)
        For one cycle: all tokens it waits for are there, and taken.
    active : Out(units)
        From `start` to `done`.
    """

    def __init__(self, units: int):
        self.units = units
        super().__init__(
            {
                "there": In(units),
                "flags": In(flags_layout()).array(units),
                "done": In(units),
                "start": Out(units),
                "active": Out(units),
            }
        )

    def elaborate(self, platform):
        m = Module()
        running = Signal(self.units)
        go = [Signal(name=f"go_{unit}") for unit in range(self.units)]
        m.d.comb += self.active.eq(running)
        for unit in range(self.units):
            m.d.sync += self.start[unit].eq(go[unit])
            with m.If(go[unit]):
                m.d.sync += running[unit].eq(1)
            with m.Elif(self.done[unit]):
                m.d.sync += running[unit].eq(0)
        forth = [self._count(m, unit, unit + 1, go) for unit in range(self.units - 1)]
        back = [self._count(m, unit + 1, unit, go) for unit in range(self.units - 1)]
        for unit, flags in enumerate(self.flags):
            before = forth[unit - 1] if unit else 0
            behind = back[unit] if unit < self.units - 1 else 0
            free = self.there[unit] & ~running[unit]
            m.d.comb += go[unit].eq(free & (~flags.wait_previous | before) & (~flags.wait_next | behind))
        return m

    def _count(self, m: Module, giver: int, taker: int, go: list[Signal]) -> Value:
        """Whether there are tokens that one unit gave to its neighbour and that were not taken."""
        forth = taker > giver
        signal, wait = ("signal_next", "wait_previous") if forth else ("signal_previous", "wait_next")
        given = named(m, self.done[giver] & self.flags[giver][signal], f"given_by_{giver}_to_{taker}")
        taken = named(m, go[taker] & self.flags[taker][wait], f"taken_by_{taker}_from_{giver}")
        count, some = Signal(WIDTH, name=f"from_{giver}_to_{taker}"), Signal(name=f"some_from_{giver}_to_{taker}")
        with m.If(given & ~taken & ~count.all()):
            m.d.sync += [count.eq(count + 1), some.eq(1)]
        with m.Elif(taken & ~given):
            m.d.sync += [count.eq(count - 1), some.eq(count != 1)]
        return some
