"""Bench of the hardware GreedyNMS: images back to back, whatever the stalls.

Configuration: `params`, the keyword arguments of `GreedyParams`; `latency`; `stalls`, the probability of one on each
stream; or `stimulus`, an npz file that is driven instead of the scenarios: `boxes` (n, 4) as codes, `scores` (n,),
`labels` (n,), `ends` (images,), the number of boxes up to the end of each image. The run's folder then gets
`kept.npz`: `kept`, positions in that list, image after image; `cycles` from the first beat to the last output;
`arrivals`, the cycle of each output beat.
"""

from typing import Any

import cocotb
import numpy as np

from golden.greedy_nms import GreedyParams
from golden.rounding import Ints
from sim.bench import config, generator, start
from sim.box_bench import check, drive
from sim.box_images import BoxImage, scenarios


def load(path: str) -> list[BoxImage]:
    """The images of a stimulus file."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in ("boxes", "scores", "labels")}
        ends = file["ends"].tolist()
    parts = [slice(*pair) for pair in zip([0, *ends[:-1]], ends, strict=True)]
    columns = [{name: values[part] for name, values in arrays.items()} for part in parts]
    return [BoxImage(**one, present=np.ones(len(one["boxes"]), bool)) for one in columns]


def save(images: list[BoxImage], kept: list[dict[str, Ints]], run: dict[str, Any]) -> None:
    """Write `kept.npz` into the run's folder."""
    firsts = np.cumsum([0, *(len(image) for image in images)])[:-1]
    positions = [first + came["index"] for first, came in zip(firsts, kept, strict=True)]
    np.savez("kept.npz", kept=np.concatenate(positions), cycles=run["cycles"], arrivals=run["arrivals"])


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
    replay = settings.get("stimulus")
    todo = {"stimulus": load(replay)} if replay else scenarios(generator(), params.format, params.capacity)
    await start(dut)
    for number, (name, images) in enumerate(todo.items()):
        kept, run = await drive(dut, params, images, stalls, 10 * (number + 1), 1)
        if replay:
            save(images, kept, run)
        check(name, params, images, kept, run["errors"])
        if not stalls:
            check_speed(name, params, images, run, settings["latency"])
