"""The sweep over the tables: which address it clears in which cycle, and when boxes wait."""

from amaranth.sim import Simulator

from roundel.hw.nms.table import Sweep

ADDRESSES, DRAIN = 5, 3
FREE = (0, 0, 0, 0)  # pause, clear, address, restart
WORN = (1, 0, 0, 0)
SWEEP = [(1, 1, address, int(address == ADDRESSES - 1)) for address in range(ADDRESSES)]


def watched(drive):
    """What the sweep gives in every cycle after a reset, for (worn, held) in each."""
    unit, seen = Sweep(ADDRESSES, DRAIN), []

    async def bench(ctx):
        for worn, held in drive:
            ctx.set(unit.worn, worn)
            ctx.set(unit.held, held)
            seen.append(tuple(ctx.get(port) for port in (unit.pause, unit.clear, unit.address, unit.restart)))
            await ctx.tick()

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return seen


def test_a_reset_clears_every_address_once():
    """A reset does not reach into memories, so that nothing is valid before."""
    assert watched([(0, 0)] * (ADDRESSES + 4)) == [*SWEEP, *[FREE] * 4]


def test_the_next_sweep_waits_until_nothing_is_on_its_way():
    """It begins `drain` cycles after the last image has left, counted from the last in which one was held."""
    lead = [(0, 1)] * (ADDRESSES + 1)
    wait = [(1, 1)] * 2 + [(1, 0)] * 2 + [(1, 1)] + [(1, 0)] * (DRAIN + 1)
    seen = watched([*lead, *wait, *[(1, 0)] * ADDRESSES, (0, 0), (0, 1)])
    assert seen == [*SWEEP, FREE, *[WORN] * len(wait), *SWEEP, FREE, FREE]
