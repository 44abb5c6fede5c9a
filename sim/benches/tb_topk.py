"""Bench of top-k: images back to back, up to 20 times as many boxes as are kept, stalls on both sides.

Configuration as for `roundel.sim.benches.tb_nms`, with the keyword arguments of `TopKParams`.
"""

from typing import Any

import cocotb

from roundel.golden.nms import TopKParams
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.box_bench import check, drive, replay
from roundel.sim.stimuli import equal_sizes, floods, scenarios

SLOW = 0.95  # share of stalls that fills every sorter before the reader
PAUSE = 8  # cycles of an image beside one for each box
FULL_RATE = (1, 2, 7, 40)  # boxes of an image


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """Boxes kept equal golden, in order, and everything malformed is reported; images that fit take a cycle a box."""
    settings = config()
    params = TopKParams(**settings["params"])
    stalls = settings.get("stalls", 0.0)
    await start(dut)
    if "stimulus" in settings:
        await replay(dut, params, settings["stimulus"], stalls, 1)
        return
    rng = generator()
    cases = scenarios(rng, params.format, params.capacity) | floods(rng, params.format, params.capacity)
    for salt, (name, images) in enumerate(cases.items()):
        kept, seen = await drive(dut, params, images, stalls, 2 * salt, 1)
        check(name, params, images, kept, seen["errors"])
    images = equal_sizes(rng, params.format, min(3 * params.capacity, 200), 3)
    kept, seen = await drive(dut, params, images, 0.0, 70, 1, reader_stalls=SLOW)
    check("slow reader", params, images, kept, seen["errors"])
    if not stalls:
        await full_rate(dut, params, settings["latency"])


async def full_rate(dut: Any, params: TopKParams, latency: int) -> None:
    """Images that fit take a cycle for each box, and a pause."""
    for size in FULL_RATE:
        length, count = min(size, params.capacity), 12
        images = equal_sizes(generator(size), params.format, length, count)
        kept, seen = await drive(dut, params, images, 0.0, 100, 1)
        check(f"images of {size}", params, images, kept, seen["errors"])
        allowed = (length + PAUSE) * (count + len(params.digits)) + latency
        assert seen["cycles"] <= allowed, f"images of {size}: {seen['cycles']} cycles, not at most {allowed}"
