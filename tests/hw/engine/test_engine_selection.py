"""What lanes take of the words of a beat: the byte that their selector means."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.engine import EngineParams
from roundel.hw.engine.selection import LaneSelection, crossings


def taken(ctx, dut, lane, words):
    """The word and the lane of the byte that a lane takes."""
    others = ctx.get(dut.others[lane])
    assert others & (others - 1) == 0
    if others:
        return crossings(lane, words)[others.bit_length() - 1]
    return ctx.get(dut.own[lane]), lane


@pytest.mark.parametrize(("lanes", "words"), [(4, 2), (8, 4), (16, 2), (16, 4), (16, 8)])
def test_lanes_take_the_byte_of_their_selector(lanes, words, seed):
    """Each that a selector may mean, of any split; word 0 where the layer has no selectors."""
    rng = np.random.default_rng(seed)
    params = EngineParams(lanes=lanes, columns=lanes, banks=8, beat_words=words, select=True)
    dut = LaneSelection(params)

    async def bench(ctx):
        for _ in range(60):
            split = int(rng.integers(1, words.bit_length()))
            side = 8 >> split
            allowed = [[s for s in range(8) if s % side == lane % side or s >= side] for lane in range(lanes)]
            selector = [int(rng.choice(choices)) for choices in allowed]
            ctx.set(dut.selector, sum(choice << 3 * lane for lane, choice in enumerate(selector)))
            ctx.set(dut.split, split)
            ctx.set(dut.load, 1)
            ctx.set(dut.enable, 1)
            await ctx.tick()
            ctx.set(dut.load, 0)
            ctx.set(dut.selector, int(rng.integers(0, 1 << 12)))
            await ctx.tick()
            expected = [(choice // side, lane - lane % side + choice % side) for lane, choice in enumerate(selector)]
            assert [taken(ctx, dut, lane, words) for lane in range(lanes)] == expected
            ctx.set(dut.enable, 0)
            await ctx.delay(1e-9)
            assert [taken(ctx, dut, lane, words) for lane in range(lanes)] == [(0, lane) for lane in range(lanes)]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
