"""Codes of boxes in hardware, and the file of kept boxes, against golden."""

import numpy as np
import pytest
from amaranth.lib import data
from amaranth.sim import Simulator

from roundel.golden.nms import ExactParams
from roundel.hw.nms.filing import BoxCodes, KeptFile

NAMES = ("low_x", "high_x", "low_y", "high_y", "area")


def drawn(rng, params, count):
    """Corners within the image, (count, 4)."""
    borders = np.array(params.format.borders)
    low = rng.integers(0, borders, (count, 2))
    return np.hstack([low, low + rng.integers(1, borders - low + 1)])


@pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 1])
@pytest.mark.parametrize("form", ["corners", "centre"])
def test_codes_and_areas(threshold, form, seed):
    rng = np.random.default_rng(seed)
    params = ExactParams(format={"width": 301, "height": 90, "fraction": 1, "form": form}, threshold=threshold)
    boxes = drawn(rng, params, 50)
    unit = BoxCodes(params, data.StructLayout({"number": 8}))
    found, measured = [], []

    async def bench(ctx):
        ctx.set(unit.outputs.ready, 1)
        ctx.set(unit.inputs.valid, 1)
        for number, box in enumerate([*boxes, *boxes[: BoxCodes.LATENCY]]):
            corners = dict(zip(("x1", "y1", "x2", "y2"), map(int, box), strict=True))
            ctx.set(unit.inputs.p.corners, corners)
            ctx.set(unit.inputs.p.beat.number, number)
            await ctx.tick()
            if ctx.get(unit.measured):
                measured.append(ctx.get(unit.area))
            codes, bounds = ctx.get(unit.outputs.p.codes), ctx.get(unit.outputs.p.bounds)
            found.append(
                [ctx.get(unit.outputs.p.beat.number), *(codes[name] for name in NAMES), bounds.least, bounds.most]
            )

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    codes = params.codes(boxes)
    bounds = codes[:, -1:] + np.array([-1, 1]) * params.area_distance
    wanted = np.column_stack([np.arange(len(boxes)), codes, bounds.clip(0, 63)])
    assert measured[: len(boxes)] == areas.tolist()
    assert found[BoxCodes.LATENCY - 1 :][: len(boxes)] == wanted.tolist()


@pytest.mark.parametrize("threshold", [0, 0.3, 0.5, 1])
def test_names_the_kept_boxes_that_are_near(threshold, seed):
    rng = np.random.default_rng(seed)
    params = ExactParams(format={"width": 301, "height": 190}, threshold=threshold, slots=16)
    kept, asked = (params.codes(drawn(rng, params, count)) for count in (16, 60))
    unit = KeptFile(params)

    def fields(codes):
        return dict(zip(NAMES, map(int, codes), strict=True))

    async def near(ctx, codes):
        ctx.set(unit.codes, fields(codes))
        least, most = (int(codes[-1]) + way * params.area_distance for way in (-1, 1))
        ctx.set(unit.bounds, {"least": max(least, 0), "most": min(most, 63)})
        await ctx.delay(1e-7)
        return [slot for slot in range(16) if ctx.get(unit.near) >> slot & 1]

    async def bench(ctx):
        for slot, codes in enumerate(kept):
            for other in asked[slot::16]:
                assert await near(ctx, other) == np.flatnonzero(params.near(other, kept[:slot])).tolist()
            ctx.set(unit.filed, fields(codes))
            ctx.set(unit.slot, slot)
            ctx.set(unit.file, 1)
            await ctx.tick()
        for other in asked:
            assert await near(ctx, other) == np.flatnonzero(params.near(other, kept)).tolist()
        ctx.set(unit.clear, 1)
        await ctx.tick()  # what is filed in this cycle is forgotten, too
        assert [await near(ctx, other) for other in asked] == [[]] * len(asked)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
