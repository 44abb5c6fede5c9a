"""Bench of the exact GreedyNMS of a box a cycle: images back to back, crowds that take passes, stalls on both sides.

Configuration as for `roundel.sim.benches.tb_nms`, with the keyword arguments of `ExactParams`.
"""

from typing import Any

import cocotb

from roundel.golden.nms import ExactParams
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.box_bench import check, drive, replay
from roundel.sim.stimuli import apart, equal_sizes, floods, one_place, scenarios

SLOW = 0.95  # share of stalls that fills every queue before the reader
PAUSE = 8  # cycles of an image beside one for each box
FULL_RATE = (1, 2, 7, 40)  # boxes of an image


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """Kept boxes equal golden, in order, and everything malformed is reported; boxes of one place take a cycle each."""
    settings = config()
    params = ExactParams(**settings["params"])
    stalls = settings.get("stalls", 0.0)
    await start(dut)
    if "stimulus" in settings:
        await replay(dut, params, settings["stimulus"], stalls, 1)
        return
    rng = generator()
    cases = scenarios(rng, params.format, params.capacity)
    cases["apart, more than slots"] = [apart(rng, params.format, min(params.capacity, 200)) for _ in range(3)]
    if params.top.selects:
        cases |= floods(rng, params.format, params.capacity)
    for salt, (name, images) in enumerate(cases.items()):
        kept, seen = await drive(dut, params, images, stalls, 2 * salt, 1)
        check(name, params, images, kept, seen["errors"])
    images = equal_sizes(rng, params.format, min(params.capacity, 96), 3)
    kept, seen = await drive(dut, params, images, 0.0, 70, 1, reader_stalls=SLOW)
    check("slow reader", params, images, kept, seen["errors"])
    if not stalls:
        await full_rate(dut, params, settings["latency"])


async def full_rate(dut: Any, params: ExactParams, latency: int) -> None:
    """Images of equal size whose boxes all lie in one place take a cycle for each box, and a pause."""
    for size in FULL_RATE:
        length, count = min(size, params.capacity), 12
        rng = generator(size)
        scores = [rng.integers(0, 1 << params.format.score_width, length) for _ in range(count)]
        images = [one_place(rng, params.format, length, values) for values in scores]
        kept, seen = await drive(dut, params, images, 0.0, 100, 1)
        check(f"images of {size}", params, images, kept, seen["errors"])
        allowed = (length + PAUSE) * (count + len(params.digits)) + latency
        if params.threshold <= 0.5:
            assert seen["cycles"] <= allowed, f"images of {size}: {seen['cycles']} cycles, not at most {allowed}"
