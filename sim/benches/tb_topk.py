"""Bench of top-k: images back to back, up to 20 times as many boxes as are kept, stalls on both sides.

Configuration as for `roundel.sim.benches.tb_nms`, with the keyword arguments of `TopKParams`.
"""

from typing import Any

import cocotb

from roundel.golden.nms import TopKParams
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.box_bench import full_rate, replay, sorted_images
from roundel.sim.stimuli import BoxImage, equal_sizes, floods, scenarios


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
    slow = equal_sizes(rng, params.format, min(3 * params.capacity, 200), 3)
    await sorted_images(dut, params, cases, slow, stalls)
    if not stalls:

        def made(seed: int, length: int, count: int) -> list[BoxImage]:
            return equal_sizes(generator(seed), params.format, length, count)

        await full_rate(dut, params, settings["latency"], made)
