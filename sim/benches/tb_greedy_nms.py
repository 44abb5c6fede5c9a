"""Bench of the hardware GreedyNMS: images back to back, whatever the stalls.

Configuration as for `roundel.sim.benches.tb_nms`, with the keyword arguments of `GreedyParams`.
"""

from typing import Any

import cocotb

from roundel.golden.nms import GreedyParams
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.box_bench import check, drive, load, replay
from roundel.sim.stimuli import BoxImage, scenarios


def check_speed(name: str, params: GreedyParams, images: list[BoxImage], run: dict[str, Any], latency: int) -> None:
    """Nobody stalled: a beat takes a cycle to load and one in every scan, of which there is one more than boxes kept.

    The cycles allowed beside these: `latency` for every scan.
    """
    firsts = [0, *run["ends"][:-1]]
    allowed = 0
    for image, first, end in zip(images, firsts, run["ends"], strict=True):
        beats = max(1, -(-len(image) // params.lanes))
        stored = min(beats, params.capacity // params.lanes)
        allowed += beats + int(end - first) * (stored + latency)
        cycle = run["arrivals"][end - 1]
        assert cycle <= allowed, f"{name}: an image ended in cycle {cycle}, not at most {allowed}"


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """Kept boxes equal golden, in order, and everything malformed is reported; without stalls no scan takes longer."""
    settings = config()
    params = GreedyParams(**settings["params"])
    stalls = settings.get("stalls", 0.0)
    await start(dut)
    if "stimulus" in settings:
        seen = await replay(dut, params, settings["stimulus"], stalls, 1)
        check_speed("stimulus", params, load(settings["stimulus"]), seen, settings["latency"])
        return
    for number, (name, images) in enumerate(scenarios(generator(), params.format, params.capacity).items()):
        kept, seen = await drive(dut, params, images, stalls, 10 * (number + 1), 1)
        check(name, params, images, kept, seen["errors"])
        if not stalls:
            check_speed(name, params, images, seen, settings["latency"])
