"""The pipelined overlap compare against fractions."""

from fractions import Fraction

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.nms import BoxFormat
from roundel.hw.nms.overlap import BoxOverlap
from tests.support.exact import overlap


def pairs(rng, form, count):
    """Pairs of corners within the image, (count, 2, 4): apart, touching, one within the other, and equal."""
    width, height = form.borders
    grid = rng.integers(2, 9)  # few different coordinates make equal and touching sides common
    borders = np.array([width, height])
    low = rng.integers(0, grid, (count, 2, 2)) * (borders - 1) // grid
    high = low + 1 + rng.integers(0, grid + 1, (count, 2, 2)) * (borders - low - 1) // grid
    return np.concatenate([low, high], axis=2)


def answers(form, threshold, given, boxes):
    """What the hardware says of every pair, a pair in every cycle."""
    unit = BoxOverlap(form, threshold, given=given)
    found = []

    async def bench(ctx):
        for pair in [*boxes, *boxes[:1].repeat(unit.LATENCY, axis=0)]:
            for name, corners in zip("ab", pair, strict=True):
                x1, y1, x2, y2 = map(int, corners)
                ctx.set(getattr(unit, name), {"x1": x1, "y1": y1, "x2": x2, "y2": y2})
                if name in given:
                    ctx.set(getattr(unit, f"area_{name}"), (x2 - x1) * (y2 - y1))
            await ctx.tick()
            found.append(ctx.get(unit.exceeds))

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return found[unit.LATENCY - 1 :][: len(boxes)]


@pytest.mark.parametrize("given", ["ab", "a", "b", ""])
@pytest.mark.parametrize("threshold", ["0", "1/3", "0.4", "0.45", "0.5", "0.75", "1"])
def test_compares_as_fractions_do(threshold, given, seed):
    form = BoxFormat(width=37, height=50, fraction=1)
    boxes = pairs(np.random.default_rng(seed), form, 300)
    expected = [overlap(*pair.tolist()) > Fraction(threshold) for pair in boxes]
    assert answers(form, float(Fraction(threshold)), given, boxes) == expected
    assert len(set(expected)) == 1 + (threshold != "1")


@pytest.mark.parametrize("form", [BoxFormat(width=1, height=1), BoxFormat(width=4096, height=4096, fraction=8)])
def test_the_smallest_and_the_largest_image(form, seed):
    boxes = pairs(np.random.default_rng(seed), form, 60)
    assert answers(form, 0.4, "a", boxes) == [overlap(*pair.tolist()) > Fraction("0.4") for pair in boxes]
