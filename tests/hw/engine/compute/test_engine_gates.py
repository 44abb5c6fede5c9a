"""Factors from the activation memory: the right bytes in the right order, each taken, none while there is no room."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.engine import EngineParams
from roundel.hw.engine.compute.gates import Gates
from roundel.hw.engine.memory import ActivationMemory

PARAMS = EngineParams(lanes=4, columns=4, memory=1024, gates=True)


@pytest.mark.parametrize("busy", [0.0, 0.5])
@pytest.mark.parametrize("flip", [0, 1])
@pytest.mark.parametrize(("blocks", "tiles_x", "tiles_y", "step"), [(1, 1, 1, 7), (3, 2, 2, 5), (2, 1, 3, 2**32 - 9)])
def test_factors_block_by_block_and_tile_by_tile(blocks, tiles_x, tiles_y, step, flip, busy, seed):
    """With a place for one word, which is used now and then, and a memory that is busy."""
    rng, unit = np.random.default_rng(seed), Gates(PARAMS)
    memory, first = rng.integers(0, 256, (PARAMS.words, PARAMS.lanes)), 40
    words: list[tuple[list[int], bool]] = []

    async def bench(ctx):
        layer = unit.unit.descriptor
        values = {"weights_offset": first, "weights_bytes": step, "blocks": blocks, "flip_gate": flip}
        for name, value in (values | {"tiles_x": tiles_x, "tiles_y": tiles_y}).items():
            ctx.set(layer[name], value)
        ctx.set(unit.unit.start, 1)
        coming, full = [None] * ActivationMemory.READ_LATENCY, False
        for cycle in range(1000):
            answer = coming.pop(0)
            ctx.set(unit.memory.valid, answer is not None)
            if answer is not None:
                ctx.set(unit.memory.data, int.from_bytes(bytes(memory[answer].astype(np.uint8)), "little"))
            ctx.set(unit.memory.request.ready, int(rng.random() >= busy))
            ctx.set(unit.room, int(not full))
            if ctx.get(unit.valid):
                assert not full
                factors = [int(ctx.get(unit.factors.weights[column])) & 0xFF for column in range(PARAMS.columns)]
                words.append((factors, bool(ctx.get(unit.factors.last))))
                full = True
            elif rng.random() < 0.3:
                full = False
            taken = ctx.get(unit.memory.request.valid) and ctx.get(unit.memory.request.ready)
            coming.append(int(ctx.get(unit.memory.request.payload)) if taken else None)
            if cycle and ctx.get(unit.unit.done):
                break
            await ctx.tick()
            ctx.set(unit.unit.start, 0)
        await ctx.tick()
        assert not ctx.get(unit.unit.busy)

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    places = [(first + block * step) % PARAMS.words for block in range(blocks)] * (tiles_x * tiles_y)
    assert [factors for factors, _ in words] == [(memory[place] ^ (flip << 7)).tolist() for place in places]
    assert [last for _, last in words] == [(number + 1) % blocks == 0 for number in range(len(places))]
