"""The windows of boxes: every cell and channel, by the rule of docs/nms.md in plain integers."""

from itertools import product

import pytest
from amaranth.sim import Simulator

from roundel.golden.nms import BoxFormat, NmsParams
from roundel.hw.nms.windows import WindowKey

SMALL = BoxFormat(width=70, height=40, classes=3)
CASES = {
    "guarded": NmsParams(
        format=SMALL, method="guarded", stride=8, areas=(100.0, 900.0, 2500.0), ratios=(0.3, 1.0, 3.0)
    ),
    "psrr": NmsParams(format=SMALL, method="psrr", stride=8, areas=(300.0, 1600.0), ratios=(0.4, 2.5), alpha=1.0),
    "classes": NmsParams(
        format=SMALL, method="guarded", stride=16, areas=(900.0,), ratios=(0.5,), alpha=1.5, class_key=True
    ),
    "one": NmsParams(format=BoxFormat(width=5, height=5, classes=1), method="maxpool", areas=(9.0,), ratios=(1.0,)),
    "wide": NmsParams(
        format=BoxFormat(width=300, height=12), method="psrr", stride=2, areas=(64.0,), ratios=(0.5, 1.0)
    ),
}


def window(params, level, box):
    """Number of the window of a box: the groups' windows one after the other, line by line, class by class."""
    pyramid, (*cell, scale, ratio, label) = params.pyramid, box
    number, key = 0, None
    for group, kernel, lead in zip(level.groups, pyramid.kernels(level), pyramid.leads(level), strict=True):
        axes = list(zip(pyramid.cells, kernel, lead, cell, strict=True))
        columns, lines = (1 + max(0, -(-(cells - first) // size)) for cells, size, first, _ in axes)
        if (scale, ratio) in group:
            x, y = (0 if place < first else 1 + (place - first) // size for _, size, first, place in axes)
            key = number + y * columns + x
        number += columns * lines
    assert key is not None
    return key + (label * number if params.class_key else 0)


@pytest.mark.parametrize("case", CASES)
def test_every_cell_and_channel(case):
    params = CASES[case]
    pyramid = params.pyramid
    columns, rows = pyramid.cells
    boxes = list(product(range(columns), range(rows), range(len(pyramid.areas)), range(len(pyramid.ratios)), range(2)))
    boxes = [box for box in boxes if box[4] == 0 or params.class_key]
    seen_sizes = set()
    for level in pyramid.passes[:4]:
        unit, came = WindowKey(params, level), []

        async def bench(ctx, unit=unit, came=came):
            for number in range(len(boxes) + WindowKey.LATENCY):
                for port, value in zip(
                    ("x", "y", "scale", "ratio", "label"), boxes[min(number, len(boxes) - 1)], strict=True
                ):
                    ctx.set(getattr(unit, port), value)
                if number >= WindowKey.LATENCY:
                    came.append(ctx.get(unit.key))
                await ctx.tick()

        simulator = Simulator(unit)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        assert came == [window(params, level, box) for box in boxes]
        assert max(came) < unit.words
        seen_sizes |= set(pyramid.kernels(level))
    if case in ("guarded", "psrr"):
        assert any(x != y for x, y in seen_sizes)
