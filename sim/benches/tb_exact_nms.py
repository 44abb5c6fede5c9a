"""Bench of the exact GreedyNMS of a box a cycle: images back to back, crowds that take passes, stalls on both sides.

Configuration as for `roundel.sim.benches.tb_nms`, with the keyword arguments of `ExactParams`.
"""

from typing import Any

import cocotb

from roundel.golden.nms import ExactParams
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.box_bench import full_rate, replay, sorted_images
from roundel.sim.stimuli import BoxImage, apart, equal_sizes, floods, one_place, scenarios


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
    await sorted_images(dut, params, cases, equal_sizes(rng, params.format, min(params.capacity, 96), 3), stalls)
    if not stalls:

        def made(seed: int, length: int, count: int) -> list[BoxImage]:  # all boxes of an image lie in one place
            own = generator(seed)
            scores = [own.integers(0, 1 << params.format.score_width, length) for _ in range(count)]
            return [one_place(own, params.format, length, values) for values in scores]

        await full_rate(dut, params, settings["latency"], made, bound=params.threshold <= 0.5)
