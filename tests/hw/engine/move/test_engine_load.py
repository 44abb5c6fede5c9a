"""The loader against the formula of docs/engine.md, LOAD."""

from collections import deque

import numpy as np
import pytest
from amaranth.hdl import ResetInserter, Signal

from roundel.hw.engine.move import Load
from tests.support.engine_moves import (
    LONGEST,
    SIZES,
    begin,
    outer_bytes,
    params_of,
    pieces,
    random_move,
    runs,
    simulate,
    totals,
)


class Bus:
    """A bus reader: takes commands, and gives beats some cycles later."""

    def __init__(self, params, rng, stalls):
        self.params, self.rng, self.stalls = params, rng, stalls
        self.cycle, self.first, self.beats, self.commands = 0, None, deque(), []

    def chance(self):
        """Whether something happens in this cycle."""
        return not self.stalls or self.rng.random() < 0.6

    def drive(self, ctx, unit):
        """Set this cycle's inputs, then see what is transferred."""
        size = self.params.bus_bytes
        offered = ctx.get(unit.data.valid) and self.beats and self.beats[0][0] <= self.cycle  # holds until taken
        given = bool(offered or (self.beats and self.beats[0][0] <= self.cycle and self.chance()))
        ctx.set(unit.data.valid, given)
        if given:
            _, data, keep, last = self.beats[0]
            ctx.set(unit.data.payload, {"data": data, "keep": keep, "last": last})
        ctx.set(unit.command.ready, self.chance())
        if given and ctx.get(unit.data.ready):
            self.first = self.cycle if self.first is None else self.first
            self.beats.popleft()
        if ctx.get(unit.command.valid) and ctx.get(unit.command.ready):
            address, count = ctx.get(unit.command.p.address), ctx.get(unit.command.p.bytes)
            self.commands.append((address, count))
            content = outer_bytes(address, count)
            # Bytes of the last beat that are not of the transfer hold anything.
            padded = content + self.rng.bytes(-count % size)
            for at, data in zip(range(0, count, size), pieces(padded, size), strict=True):
                keep = (1 << min(size, count - at)) - 1
                self.beats.append((self.cycle + 5, data, keep, at + size >= count))
        self.cycle += 1


def expected_writes(params, values, bases):
    """Every word that is written, in order."""
    return [
        ((word + index) % params.words, data)
        for address, word in runs(params, values, bases)
        for index, data in enumerate(pieces(outer_bytes(address, values["run_bytes"]), params.lanes))
    ]


async def run(ctx, unit, bus, values, bases):
    """Writes of one descriptor, and the cycle of `done`."""
    writes, request = [], unit.memory.request
    await begin(ctx, unit, values, bases)
    while not ctx.get(unit.unit.done):
        ctx.set(request.ready, bus.chance())
        bus.drive(ctx, unit)
        if ctx.get(request.valid) and ctx.get(request.ready):
            writes.append((ctx.get(request.p.address), ctx.get(request.p.data)))
        await ctx.tick()
        ctx.set(unit.unit.start, 0)
        assert ctx.get(unit.unit.busy)
        assert bus.cycle < LONGEST
    done = bus.cycle
    await ctx.tick()
    assert not ctx.get(unit.unit.busy) | ctx.get(unit.unit.done)
    return writes, done


@pytest.mark.parametrize("stalls", [False, True])
@pytest.mark.parametrize(("lanes", "bus_bits"), SIZES)
def test_words_go_where_the_formula_says(lanes, bus_bits, stalls, seed):
    params, rng = params_of(lanes, bus_bits), np.random.default_rng(seed)
    unit = Load(params)

    async def bench(ctx):
        for _ in range(12):
            values, bases = random_move(params, rng)
            bus = Bus(params, rng, stalls)
            writes, done = await run(ctx, unit, bus, values, bases)
            assert writes == expected_writes(params, values, bases)
            assert bus.commands == [(address, values["run_bytes"]) for address, _ in runs(params, values, bases)]
            assert not bus.beats
            assert stalls or done == bus.first + max(totals(params, values)) + 1

    simulate(unit, bench)


def test_a_reset_in_the_middle_leaves_nothing(seed):
    params, rng, reset = params_of(8, 64), np.random.default_rng(seed), Signal()
    unit = Load(params)

    async def bench(ctx):
        for cycles in range(1, 40, 3):
            values, bases = random_move(params, rng)
            bus = Bus(params, rng, True)
            await begin(ctx, unit, values | {"runs": 9, "run_bytes": 40}, bases)
            for _ in range(cycles):
                bus.drive(ctx, unit)
                await ctx.tick()
                ctx.set(unit.unit.start, 0)
            ctx.set(reset, 1)
            ctx.set(unit.data.valid, 0)
            await ctx.tick()
            ctx.set(reset, 0)
            assert not ctx.get(unit.unit.busy) | ctx.get(unit.command.valid) | ctx.get(unit.memory.request.valid)
            writes, _ = await run(ctx, unit, Bus(params, rng, True), values, bases)
            assert writes == expected_writes(params, values, bases)

    simulate(ResetInserter(reset)(unit), bench)
