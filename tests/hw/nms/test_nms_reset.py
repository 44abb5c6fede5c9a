"""A reset in any cycle: the next image, sent at once, comes out as from a unit that has seen nothing."""

from itertools import count

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from roundel.golden.nms import GreedyParams, NmsParams
from roundel.hw.nms import GreedyNms, Nms

FORM = {"width": 16, "height": 16, "score_width": 3, "classes": 1}
UNITS = {
    "greedy": (GreedyNms, GreedyParams(format=FORM, capacity=4)),
    "parallel": (Nms, NmsParams(format=FORM, method="adjacent", shift="none", stride=8, capacity=4, epoch_width=3)),
}


def boxes_of(rng, number):
    """Corners of random boxes, and their scores."""
    low = rng.integers(0, 8, (number, 2))
    return np.hstack([low, low + rng.integers(1, 9, (number, 2))]), rng.integers(0, 8, number)


class Driver:
    """A unit with a reset, driven a cycle at a time; it never stalls."""

    def __init__(self, ctx, unit, reset):
        self.ctx, self.unit, self.reset = ctx, unit, reset
        ctx.set(unit.outputs.ready, 1)

    def offer(self, corners, score, last):
        """Put a box on the input."""
        place = self.unit.inputs.p.boxes[0]
        for name, value in zip(("x1", "y1", "x2", "y2", "score"), (*corners, score), strict=True):
            self.ctx.set(place[name], int(value))
        self.ctx.set(self.unit.inputs.p.last, last)
        self.ctx.set(self.unit.inputs.valid, 1)

    async def image(self, corners, scores, cycles):
        """Send an image for so many cycles, or until all of it has come out; indices of the boxes that came."""
        sent, kept = 0, []
        for cycle in count():
            if cycle == cycles:
                break
            if sent < len(scores):
                self.offer(corners[sent], scores[sent], sent == len(scores) - 1)
            else:
                self.ctx.set(self.unit.inputs.valid, 0)
            _, _, taken, came, beat = await self.ctx.tick().sample(
                self.unit.inputs.ready, self.unit.outputs.valid, self.unit.outputs.p
            )
            sent += bool(taken and sent < len(scores))
            if came:
                kept += [] if beat.boxes[0].empty else [beat.boxes[0].index]
                if beat.last:
                    break
        return kept

    async def again(self):
        """Reset for a cycle."""
        self.ctx.set(self.unit.inputs.valid, 0)
        self.ctx.set(self.reset, 1)
        await self.ctx.tick()
        self.ctx.set(self.reset, 0)


@pytest.mark.parametrize("name", UNITS)
def test_a_reset_in_any_cycle_leaves_nothing(name, seed):
    make, params = UNITS[name]
    rng, unit, reset = np.random.default_rng(seed), make(params), Signal()

    async def bench(ctx):
        driver = Driver(ctx, unit, reset)
        for cycle in range(60):
            await driver.image(*boxes_of(rng, 4), cycle)
            await driver.again()
            corners, scores = boxes_of(rng, 1 + cycle % 3)
            kept = await driver.image(corners, scores, 200)
            wanted = params.compute(corners, scores, np.zeros(len(scores), int)).kept
            assert sorted(kept) == sorted(wanted.tolist()), cycle
            await driver.again()

    simulator = Simulator(ResetInserter(reset)(unit))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
