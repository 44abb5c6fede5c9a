# amaranth: UnusedElaboratable=no
"""The scan of the box unit: its candidates, their bytes and its cycles against plain integers."""

from dataclasses import replace

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.cycles import ASKED_TABLES, scale_cycles
from roundel.golden.engine import Descriptor, Opcode
from tests.support.scan_bench import ORIGIN, TABLE, Surroundings, crafted, draw, lanes_of, memory_of
from tests.support.scan_reference import candidates


def needed(params, values):
    """How many bytes a candidate has."""
    count = 4 if values["box_form"] != 1 else 4 * (values["bins"] + 1)
    return count + (values["classes"] + 3 if values["score_form"] == 2 else 0)


def scan(params, jobs, *, rng, stall):
    """Run scales one after the other; their candidates, cycles, and words of tables."""
    around, found = Surroundings(params, rng, stall), []
    dut = around.dut

    async def take(ctx, values):
        """A candidate: its bytes with pauses, and then itself."""
        numbers, first = [], ctx.get(dut.candidates.payload)
        for _ in range(needed(params, values)):
            while not around.flows():
                await ctx.tick()
            ctx.set(dut.bytes.ready, 1)
            (byte,) = await ctx.tick().sample(dut.bytes.payload).until(dut.bytes.valid)
            ctx.set(dut.bytes.ready, 0)
            numbers.append(int(byte))
        while not around.flows():
            await ctx.tick()
        assert ctx.get(dut.candidates.valid)
        candidate = ctx.get(dut.candidates.payload)
        assert candidate == first
        ctx.set(dut.candidates.ready, 1)
        await ctx.tick()
        ctx.set(dut.candidates.ready, 0)
        score = None if values["score_form"] == 2 else candidate.score
        return candidate.row, candidate.column, candidate.prior, candidate.label, score, numbers

    async def bench(ctx):
        ctx.set(dut.origin, ORIGIN)
        for memory, values, words in jobs:
            await ctx.tick().repeat(20)  # what was asked for ahead is gone
            around.start_fresh(memory, values, words)
            ctx.set(dut.descriptor, values)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            taken, idle = [], 0
            while not ctx.get(dut.done):
                if ctx.get(dut.candidates.valid):
                    taken.append(await take(ctx, values))
                    idle = 0
                await ctx.tick()
                idle += 1
                assert idle < 20_000
            found.append((taken, around.cycles, around.given, around.commands))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for task in (around.memory_task, around.bus_task, around.words_task):
        simulator.add_testbench(task, background=True)
    simulator.add_testbench(bench)
    simulator.run()
    return found


def expect(params, memory, values, words):
    """What a scale's candidates must be, and how many of its words are costs."""
    costs = words[: 2 * TABLE] if values["score_form"] == 1 else []
    return list(candidates(values, memory, params.lanes, costs, params.nms.format.score_width)), len(costs)


def jobs_of(rng, params, count, **given):
    """Scales with some candidates, but no more bytes than can be simulated in a moment."""
    jobs = []
    while len(jobs) < count:
        values, words = draw(rng, params, **given)
        memory = memory_of(rng, params, values)
        expected, _ = expect(params, memory, values, words)
        if 0 < len(expected) * needed(params, values) < 1500:
            jobs.append((memory, values, words))
    return jobs


def check(params, jobs, *, rng, stall):
    """Compare; returns how many candidates there were, and the cycles."""
    counts = []
    runs = scan(params, jobs, rng=rng, stall=stall)
    for (memory, values, words), (taken, cycles, given, commands) in zip(jobs, runs, strict=True):
        expected, costs = expect(params, memory, values, words)
        for place, (got, wanted) in enumerate(zip(taken, map(tuple, expected), strict=False)):
            assert got == wanted, (place, values)
        assert len(taken) == len(expected), values
        assert given == words[costs:]
        assert commands == ([(ORIGIN, 2 * len(words))] if words else [])
        counts.append((len(taken), cycles))
    return counts


@pytest.mark.parametrize("stall", [0.0, 0.3])
@pytest.mark.parametrize("lanes", [4, 8, 16, 32])
@pytest.mark.parametrize("score", [0, 1, 2])
def test_any_head(lanes, score, stall, seed):
    rng = np.random.default_rng([seed, lanes, score])
    params = lanes_of(lanes, bus=128 if lanes > 8 else 64)
    check(params, jobs_of(rng, params, 3, score=score), rng=rng, stall=stall)


@pytest.mark.parametrize("score", [0, 1, 2])
@pytest.mark.parametrize(
    ("lanes", "box", "classes", "priors", "prior"),
    [(16, 1, 80, 1, 0), (8, 1, 20, 3, 2), (8, 3, 20, 6, 5), (32, 0, 90, 9, 4), (4, 4, 3, 1, 0)],
)
def test_cycles_without_candidates(lanes, box, classes, priors, prior, score):
    """Exactly those of the model; with candidates see `test_box_cycles.py`."""
    params = replace(lanes_of(lanes, bus=128), memory=1 << 16)
    job = crafted(params, 0, score=score, box=box, classes=classes, priors=priors, prior=prior)
    [(found, cycles, *_)] = scan(params, [job], rng=np.random.default_rng(0), stall=0.0)
    tables = len(job[2]) + ASKED_TABLES if job[2] else 0
    assert not found
    assert cycles == scale_cycles(params, Descriptor(opcode=Opcode.BOXES, values=job[1])) + tables + 1  # seen later


SOME = {
    ("priors",): ((0, 0),),
    ("dfl",): ((0, 1), (0, 0)),
    ("softmax", "centre"): ((2, 3), (0, 2)),
    ("product", "corners"): ((1, 4), (1, 0)),
}
"""Scores and boxes of heads that such an engine decodes."""


@pytest.mark.parametrize("heads", SOME)
def test_an_engine_that_leaves_forms_out(heads, seed):
    params, rng = lanes_of(8, heads), np.random.default_rng(seed)
    jobs = [job for score, box in SOME[heads] for job in jobs_of(rng, params, 2, score=score, box=box)]
    check(params, jobs, rng=rng, stall=0.3)
