"""Bench of the suppression unit: random, adversarial and corrupt images, back to back, stalls on both sides.

Configuration: `params`, the keyword arguments of `NmsParams`; `latency`; `stalls`, the probability of one on each
stream; or `stimulus`, an npz file with `boxes` (n, 4), `scores`, `labels` (n,) and `ends` (images,), how many boxes
there are up to the end of each image, driven as it is. The run's folder then gets `kept.npz`: `kept`, places in those
arrays, in the order in which they came; `cycles`; `arrivals`, the cycle of each beat since the first was sent; and
`ends`, how many beats had come at the end of each image.
"""

from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from roundel.golden.nms import NmsParams
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.box_bench import check, drive, replay
from roundel.sim.benches.stream import StreamSource, stall_pattern
from roundel.sim.stimuli import beats, equal_sizes, members, on_edges, pack, scenarios

FULL_RATE = (1, 2, 7, 40)  # boxes of an image
SLOW = 0.95  # share of stalls that fills every queue behind the tables
MANY_EPOCHS = 8  # epoch bits from which on the bench has too few images to wear them out


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """Compare kept boxes and reported errors with golden under stalls; images of equal size take one beat a cycle."""
    settings = config()
    params = NmsParams(**settings["params"])
    stalls = settings.get("stalls", 0.0)
    await start(dut)
    if "stimulus" in settings:
        await replay(dut, params, settings["stimulus"], stalls, params.lanes)
        return
    rng = generator()
    for salt, (name, images) in enumerate(scenarios(rng, params.format, params.capacity).items()):
        kept, seen = await drive(dut, params, images, stalls, 2 * salt, params.lanes)
        check(name, params, images, kept, seen["errors"])
    images = [on_edges(rng, params.format, min(params.capacity, 96)) for _ in range(3)]
    kept, seen = await drive(dut, params, images, 0.0, 70, params.lanes, reader_stalls=SLOW)
    check("slow reader", params, images, kept, seen["errors"])
    for number in (1, 0, 2):
        await interrupt(dut, params, number)
        images = equal_sizes(rng, params.format, min(20, params.capacity), 3)
        kept, seen = await drive(dut, params, images, stalls, 80 + 2 * number, params.lanes)
        check("after a reset", params, images, kept, seen["errors"])
    if not stalls and params.epoch_width >= MANY_EPOCHS:
        await full_rate(dut, params, settings["latency"])


async def interrupt(dut: Any, params: NmsParams, salt: int) -> None:
    """Reset in the middle of an image: nothing of it may be left, in the tables either."""
    rng = generator(1000 + salt)
    columns = beats(equal_sizes(rng, params.format, params.capacity, 3), params.format, params.lanes)
    words = pack(members(params.format, params.lanes), columns, len(columns["last"]))
    source = StreamSource(dut, "inputs", stall_pattern(rng, 0.0))
    sending = cocotb.start_soon(source.send(words))
    dut.outputs__ready.value = 1
    await RisingEdge(dut.clk)
    while salt and not dut.inputs__ready.value:  # the first time in the middle of clearing
        await RisingEdge(dut.clk)
    await ClockCycles(dut.clk, int(rng.integers(1, len(words))))
    sending.cancel()
    dut.inputs__valid.value = 0
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def full_rate(dut: Any, params: NmsParams, latency: int) -> None:
    """Images of equal size, however small, take a beat per cycle."""
    for size in FULL_RATE:
        length, count = -(-min(size, params.capacity) // params.lanes), 12
        images = equal_sizes(generator(size), params.format, min(size, params.capacity), count)
        kept, seen = await drive(dut, params, images, 0.0, 100, params.lanes)
        check(f"images of {size}", params, images, kept, seen["errors"])
        # Every stage takes an image before it gives it.
        allowed = length * (count + len(params.stages)) + latency + 4
        assert seen["cycles"] <= allowed, f"images of {size}: {seen['cycles']} cycles, not at most {allowed}"
