"""The register in a stream: nothing is lost, doubled or reordered, and no path leads through."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.hw.lib import StreamRegister


@pytest.mark.parametrize(("sending", "taking"), [(1.0, 1.0), (0.5, 0.5), (1.0, 0.3), (0.3, 1.0)])
def test_payloads_come_in_order(sending, taking, seed):
    rng = np.random.default_rng([seed, int(10 * sending), int(10 * taking)])
    unit, values, came = StreamRegister(8), rng.integers(0, 256, 200).tolist(), []
    cycles = 0

    async def source(ctx):
        for value in values:
            while rng.random() >= sending:
                await ctx.tick()
            ctx.set(unit.inputs.valid, 1)
            ctx.set(unit.inputs.payload, value)
            await ctx.tick().until(unit.inputs.ready)
            ctx.set(unit.inputs.valid, 0)

    async def sink(ctx):
        nonlocal cycles
        while len(came) < len(values):
            ctx.set(unit.outputs.ready, int(rng.random() < taking))
            _, _, valid, ready, payload = await ctx.tick().sample(
                unit.outputs.valid, unit.outputs.ready, unit.outputs.payload
            )
            cycles += 1
            if valid and ready:
                came.append(payload)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_process(source)
    simulator.add_testbench(sink)
    simulator.run()
    assert came == values
    if sending == taking == 1:
        assert cycles == len(values) + StreamRegister.LATENCY


def test_ready_does_not_depend_on_the_output_in_the_same_cycle():
    unit = StreamRegister(8)

    async def bench(ctx):
        ctx.set(unit.inputs.valid, 1)
        await ctx.tick().repeat(2)
        assert not ctx.get(unit.inputs.ready)
        ctx.set(unit.outputs.ready, 1)
        assert not ctx.get(unit.inputs.ready)
        await ctx.tick()
        assert ctx.get(unit.inputs.ready)
        assert ctx.get(unit.outputs.valid)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
