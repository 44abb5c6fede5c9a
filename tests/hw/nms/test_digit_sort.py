"""Sorting by linked lists against Python's sort: stable, images back to back, stalls on both sides."""

import numpy as np
import pytest
from amaranth.lib import data
from amaranth.sim import Simulator

from roundel.hw.nms.digit_sort import DigitSort

BOX = data.StructLayout({"score": 12, "index": 8})


def through(unit, images, rng, stalls):
    """What comes out for images of scores, None for an empty beat; and the cycle of each beat."""
    beats = [(score, place, place == len(image) - 1) for image in images for place, score in enumerate(image)]
    found, cycles = [[]], []

    async def send(ctx):
        for score, place, last in beats:
            while rng.random() < stalls:
                await ctx.tick()
            box = {"score": score or 0, "index": place}
            ctx.set(unit.inputs.p, {"box": box, "empty": score is None, "last": last})
            ctx.set(unit.inputs.valid, 1)
            await ctx.tick().until(unit.inputs.ready)
            ctx.set(unit.inputs.valid, 0)

    async def receive(ctx):
        cycle = 0
        while len(found) <= len(images):
            ready = rng.random() >= stalls
            ctx.set(unit.outputs.ready, ready)
            _, _, valid, beat = await ctx.tick().sample(unit.outputs.valid, unit.outputs.p)
            cycle += 1
            if valid and ready:
                cycles.append(cycle)
                if not beat.empty:
                    found[-1].append((beat.box.score, beat.box.index))
                if beat.last:
                    found.append([])

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive)
    simulator.run()
    return found[:-1], cycles


@pytest.mark.parametrize("stalls", [0, 0.4])
@pytest.mark.parametrize(("low", "width"), [(0, 1), (3, 2), (2, 5), (4, 8)])
def test_sorts_by_a_digit_and_is_stable(low, width, stalls, seed):
    rng = np.random.default_rng(seed)
    images = [rng.integers(0, 1 << 12, count).tolist() for count in (1, 40, 2, 40, 40)]
    images += [[None], [None, 7, None, 7, 9], [3] * 40, list(range(0, 4000, 100)), list(range(4000, 0, -100))]
    found, _ = through(DigitSort(BOX, low, width, 40), images, rng, stalls)
    for image, came in zip(images, found, strict=True):
        boxes = [(score, place) for place, score in enumerate(image) if score is not None]
        assert came == sorted(boxes, key=lambda box: -(box[0] >> low & (1 << width) - 1))


@pytest.mark.parametrize("scores", ["equal", "different", "random"])
def test_takes_a_cycle_for_each_box(scores, seed):
    rng = np.random.default_rng(seed)
    count = 100
    drawn = {"equal": [5] * count, "different": list(range(0, 200, 2)), "random": rng.integers(0, 256, count).tolist()}
    _, cycles = through(DigitSort(BOX, 0, 8, count), [drawn[scores]] * 4, rng, 0)
    ends = np.array(cycles[count - 1 :: count])
    assert cycles[0] == count + DigitSort.LATENCY
    assert (np.diff(ends) <= count + DigitSort.LATENCY).all()
