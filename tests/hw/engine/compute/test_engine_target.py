"""Where results go and residuals come from, against the loops of docs/engine.md."""

from itertools import product

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.sim import Simulator

from roundel.golden.engine import EngineParams
from roundel.hw.engine.compute.results import Residual, Target
from roundel.hw.engine.memory import ActivationMemory
from roundel.hw.engine.reader import WordReader

PARAMS = EngineParams(lanes=4, columns=4, banks=2, memory=1024, depth=16)
LONGEST = 10_000  # cycles of a layer: far more than any here takes


def layer(rng, prefix, **given):
    """A random COMPUTE descriptor, as far as it says where words are."""
    tile_w, tile_h = ((1, 1), (1, 5), (7, 1), (3, 4), (16, 1))[rng.integers(5)]
    values = {
        "tile_w": tile_w,
        "tile_h": tile_h,
        "last_w": int(rng.integers(1, tile_w + 1)),
        "last_h": int(rng.integers(1, tile_h + 1)),
        "tiles_x": int(rng.integers(1, 4)),
        "tiles_y": int(rng.integers(1, 4)),
        "blocks": int(rng.integers(1, 4)),
        "skip": int(rng.integers(4)),
        prefix: int(rng.integers(PARAMS.words)),
        f"{prefix}_plane": int(rng.integers(1 << 32)),
        f"{prefix}_row": int(rng.integers(1 << 32)),
        f"{prefix}_tile": int(rng.integers(1 << 32)),
    }
    return values | given


def places(values, prefix):
    """Words of all results in order."""
    found = []
    for ty, tx, block in product(range(values["tiles_y"]), range(values["tiles_x"]), range(values["blocks"])):
        h = values["last_h"] if ty == values["tiles_y"] - 1 else values["tile_h"]
        w = values["last_w"] if tx == values["tiles_x"] - 1 else values["tile_w"]
        origin = values[prefix] + block * values[f"{prefix}_plane"] + ty * values[f"{prefix}_tile"]
        apart = values["skip"] + 1
        rows = [origin + y * values[f"{prefix}_row"] + tx * values["tile_w"] * apart for y in range(h)]
        found += [(row + x * apart) % PARAMS.words for row in rows for x in range(w)]
    return found


def simulate(unit, bench):
    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


async def run_target(ctx, unit, values, results, flows):
    """Every write, the cycle of `done`; `flows` says whether a result, and whether the memory, is there in a cycle."""
    writes, cycle, given = [], 0, 0
    ctx.set(unit.unit.descriptor, values)
    ctx.set(unit.unit.start, 1)
    assert not ctx.get(unit.unit.busy)
    while not ctx.get(unit.unit.done):
        valid, ready = (rate() for rate in flows)
        ctx.set(unit.results.valid, valid and given < len(results))
        ctx.set(unit.results.payload, results[min(given, len(results) - 1)])
        ctx.set(unit.memory.request.ready, ready)
        if ctx.get(unit.memory.request.valid) and ready:
            writes.append((ctx.get(unit.memory.request.p.address), ctx.get(unit.memory.request.p.data)))
        given += ctx.get(unit.results.valid) & ctx.get(unit.results.ready)
        await ctx.tick()
        ctx.set(unit.unit.start, 0)
        cycle += 1
        assert ctx.get(unit.unit.busy)
        assert cycle < LONGEST
    assert given == len(results)
    await ctx.tick()
    assert not ctx.get(unit.unit.busy) | ctx.get(unit.unit.done)
    return writes, cycle


@pytest.mark.parametrize("stalls", [False, True])
def test_results_go_where_the_loops_say(stalls, seed):
    rng, unit = np.random.default_rng(seed), Target(PARAMS)

    async def bench(ctx):
        for _ in range(40):
            values = layer(rng, "target")
            expected = places(values, "target")
            results = rng.integers(1 << 32, size=len(expected)).tolist()
            flow = (lambda: rng.random() < 0.6) if stalls else lambda: True
            writes, cycles = await run_target(ctx, unit, values, results, (flow, flow))
            assert writes == list(zip(expected, results, strict=True))
            assert stalls or cycles == len(expected) + 1

    simulate(unit, bench)


SUMS = EngineParams(lanes=4, columns=4, banks=2, memory=1024, depth=16, sums=True)


def signed_byte(word, lane):
    byte = word >> 8 * lane & 0xFF
    return byte - 256 if byte > 127 else byte


def with_sums(values, results):
    """All writes of a layer in order: behind each row of a tile, what its bytes add up to in digits of 6 and 8 bits."""
    writes, coming = [], iter(zip(places(values, "target"), results, strict=True))
    loops = product(range(values["tiles_y"]), range(values["tiles_x"]), range(values["blocks"]))
    for ty, tx, block in loops:
        for y in range(values["last_h"] if ty == values["tiles_y"] - 1 else values["tile_h"]):
            row = [next(coming) for _ in range(values["last_w"] if tx == values["tiles_x"] - 1 else values["tile_w"])]
            flip = 0x80808080 * values["flip_sums"]
            totals = [sum(signed_byte(word ^ flip, lane) for _, word in row) for lane in range(4)]
            lower = sum(total % 64 << 8 * lane for lane, total in enumerate(totals))
            upper = sum(total // 64 % 256 << 8 * lane for lane, total in enumerate(totals))
            at = values["sums"] + 2 * block * values["sums_plane"] + y
            at += ty * values["tile_h"] + tx * values["sums_tile"]
            writes += [*row, (at % SUMS.words, lower), ((at + values["sums_plane"]) % SUMS.words, upper)]
    return writes


@pytest.mark.parametrize("stalls", [False, True])
def test_sums_follow_the_rows_that_they_are_of(stalls, seed):
    rng, unit = np.random.default_rng(seed), Target(SUMS)

    async def bench(ctx):
        for index in range(40):
            values = layer(rng, "target", has_sums=int(index % 4 != 0), flip_sums=index // 4 % 2)
            values |= {name: int(rng.integers(1 << 24)) for name in ("sums", "sums_plane", "sums_tile")}
            results = rng.integers(1 << 32, size=len(places(values, "target"))).tolist()
            if index % 3 == 0:  # as far as sums go
                results = [int(rng.choice([0x80807F7F, 0x7F8080FF]))] * len(results)
            expected = list(zip(places(values, "target"), results, strict=True))
            expected = with_sums(values, results) if values["has_sums"] else expected
            flow = (lambda: rng.random() < 0.6) if stalls else lambda: True
            writes, cycles = await run_target(ctx, unit, values, results, (flow, flow))
            assert writes == expected
            assert stalls or cycles == len(expected) + 1

    simulate(unit, bench)


class Reading(wiring.Component):
    """The residual reader at a memory."""

    def __init__(self):
        super().__init__({})
        self.residual, self.memory = Residual(PARAMS), ActivationMemory(PARAMS)

    def elaborate(self, platform):
        m = Module()
        m.submodules.residual, m.submodules.memory = self.residual, self.memory
        wiring.connect(m, self.residual.memory, self.memory.residual)
        return m


async def fill(ctx, memory, content):
    """Write all words."""
    for address, word in enumerate(content):
        ctx.set(memory.load.request.payload, {"address": address, "data": word})
        ctx.set(memory.load.request.valid, 1)
        await ctx.tick()
    ctx.set(memory.load.request.valid, 0)


async def run_residual(ctx, unit, values, flows):
    """Words that came with their cycles, and the cycle of `done`; `flows`: taken now, and memory used by another."""
    found, cycle = [], 0
    residual, feed = unit.residual, unit.memory.feed.request
    ctx.set(residual.unit.descriptor, values)
    ctx.set(residual.unit.start, 1)
    while not ctx.get(residual.unit.done):
        taken, blocked = (rate() for rate in flows)
        ctx.set(residual.words.ready, taken)
        ctx.set(feed.valid, blocked)
        ctx.set(feed.payload, {"address": cycle, "near": 0})
        if ctx.get(residual.words.valid) and taken:
            found.append((ctx.get(residual.words.payload), cycle))
        await ctx.tick()
        ctx.set(residual.unit.start, 0)
        cycle += 1
        assert ctx.get(residual.unit.busy)
        assert cycle < LONGEST
    await ctx.tick()
    assert not ctx.get(residual.unit.busy) | ctx.get(residual.words.valid)
    return found, cycle


@pytest.mark.parametrize("stalls", [False, True])
def test_residuals_come_from_where_the_loops_say(stalls, seed):
    rng, unit = np.random.default_rng(seed), Reading()
    content = rng.integers(1 << 32, size=PARAMS.words).tolist()

    async def bench(ctx):
        await fill(ctx, unit.memory, content)
        for index in range(30):
            values = layer(rng, "residual", has_residual=int(index % 5 != 0), flip_residual=int(rng.integers(2)))
            flip = 0x80808080 * values["flip_residual"]
            expected = [content[place] ^ flip for place in places(values, "residual")] * values["has_residual"]
            flows = (lambda: rng.random() < 0.6,) * 2 if stalls else (lambda: True, lambda: False)
            found, cycles = await run_residual(ctx, unit, values, flows)
            assert [word for word, _ in found] == expected
            if not stalls:
                assert [cycle for _, cycle in found] == [1 + WordReader.LATENCY + n for n in range(len(found))]
                assert cycles == (found[-1][1] if found else 0) + 1

    simulate(unit, bench)


def test_the_reader_stops_when_nobody_takes(seed):
    """At most `WordReader.DEPTH` words are asked for ahead, and none is lost."""
    rng, unit = np.random.default_rng(seed), Reading()
    content = rng.integers(1 << 32, size=PARAMS.words).tolist()
    values = layer(rng, "residual", has_residual=1, tile_w=16, tile_h=1, last_w=16, last_h=1, blocks=4, skip=0)

    async def bench(ctx):
        await fill(ctx, unit.memory, content)
        ctx.set(unit.residual.unit.descriptor, values)
        ctx.set(unit.residual.unit.start, 1)
        asked, request = 0, unit.residual.memory.request
        for _ in range(50):
            asked += ctx.get(request.valid) & ctx.get(request.ready)
            await ctx.tick()
            ctx.set(unit.residual.unit.start, 0)
        assert asked == WordReader.DEPTH
        for place in places(values, "residual"):
            ctx.set(unit.residual.words.ready, 1)
            assert ctx.get(unit.residual.words.valid)
            assert ctx.get(unit.residual.words.payload) == content[place] ^ 0x80808080 * values.get("flip_residual", 0)
            await ctx.tick()

    simulate(unit, bench)
