"""The storer against the formula of docs/engine.md, STORE."""

import numpy as np
import pytest
from amaranth.hdl import Module, ResetInserter, Signal
from amaranth.lib import wiring

from roundel.hw.engine.memory import ActivationMemory
from roundel.hw.engine.move import Store
from tests.support.engine_moves import LONGEST, SIZES, begin, params_of, random_move, runs, simulate, totals


class Storing(wiring.Component):
    """The storer at a memory."""

    def __init__(self, params):
        super().__init__({})
        self.store, self.memory = Store(params), ActivationMemory(params)

    def elaborate(self, platform):
        m = Module()
        m.submodules.store, m.submodules.memory = self.store, self.memory
        wiring.connect(m, self.store.memory, self.memory.store)
        return m


class Bus:
    """A bus writer: a command, then its beats; `written` some cycles later.

    With stalls, some writers take a command only when all before it were answered.
    """

    def __init__(self, params, rng, stalls):
        self.params, self.rng, self.stalls, self.alone = params, rng, stalls, stalls and rng.random() < 0.4
        self.cycle, self.last_beat, self.commands, self.found = 0, 0, [], []
        self.answers, self.open = [], b""

    def chance(self):
        """Whether something happens in this cycle."""
        return not self.stalls or self.rng.random() < 0.6

    def drive(self, ctx, unit):
        """Set this cycle's inputs, then see what is transferred."""
        answer = bool(self.answers and self.answers[0] <= self.cycle and self.chance())
        ctx.set(unit.written, answer)
        del self.answers[:answer]
        alone = not self.answers and len(self.commands) == len(self.found)
        ctx.set(unit.command.ready, (alone or not self.alone) and self.chance())
        if ctx.get(unit.command.valid) and ctx.get(unit.command.ready):
            self.commands.append(ctx.get(unit.command.payload))
        ctx.set(unit.data.ready, len(self.commands) > len(self.found) and self.chance())
        if ctx.get(unit.data.valid) and ctx.get(unit.data.ready):
            self.beat(*(ctx.get(getattr(unit.data.p, name)) for name in ("data", "strb", "last")))
        self.cycle += 1

    def beat(self, data, strobe, last):
        """Take a beat, whole but for the last of a run."""
        count, size = strobe.bit_count(), self.params.bus_bytes
        assert strobe == (1 << count) - 1
        assert count == size or (last and count)
        self.open += data.to_bytes(size, "little")[:count]
        if last:
            self.found.append(self.open)
            self.answers.append(self.cycle + 7)
            self.open, self.last_beat = b"", self.cycle


async def fill(ctx, memory, content, lanes):
    """Write all words of the memory."""
    for address in range(len(content) // lanes):
        value = int.from_bytes(content[address * lanes :][:lanes], "little")
        ctx.set(memory.load.request.payload, {"address": address, "data": value})
        ctx.set(memory.load.request.valid, 1)
        await ctx.tick()
    ctx.set(memory.load.request.valid, 0)


async def run(ctx, bench, bus, values, bases):
    """One descriptor, the memory now and then taken by another; returns the cycle of `done`."""
    unit, feed = bench.store, bench.memory.feed.request
    await begin(ctx, unit, values, bases)
    while not ctx.get(unit.unit.done):
        ctx.set(feed.valid, bus.stalls and bus.chance())
        ctx.set(feed.payload, {"address": bus.cycle % bus.params.memory, "near": 0})
        bus.drive(ctx, unit)
        await ctx.tick()
        ctx.set(unit.unit.start, 0)
        assert ctx.get(unit.unit.busy)
        assert bus.cycle < LONGEST
    done = bus.cycle
    ctx.set(unit.written, 0)
    await ctx.tick()
    assert not ctx.get(unit.unit.busy) | ctx.get(unit.unit.done)
    return done


def expected_runs(params, content, values, bases):
    """Bytes of every run, addresses on chip modulo its size."""
    doubled = content * 2
    return [doubled[word * params.lanes :][: values["run_bytes"]] for _, word in runs(params, values, bases)]


@pytest.mark.parametrize("stalls", [False, True])
@pytest.mark.parametrize(("lanes", "bus_bits"), SIZES)
def test_bytes_come_from_where_the_formula_says(lanes, bus_bits, stalls, seed):
    params, rng = params_of(lanes, bus_bits), np.random.default_rng(seed)
    unit, content = Storing(params), rng.bytes(params.memory)

    async def bench(ctx):
        await fill(ctx, unit.memory, content, lanes)
        for _ in range(12):
            values, bases = random_move(params, rng)
            bus = Bus(params, rng, stalls)
            done = await run(ctx, unit, bus, values, bases)
            assert bus.commands == [address for address, _ in runs(params, values, bases)]
            assert bus.found == expected_runs(params, content, values, bases)
            assert not bus.answers
            if not stalls:
                assert bus.last_beat == 6 + max(totals(params, values))
                assert done == bus.last_beat + 7 + 1

    simulate(unit, bench)


def test_a_reset_in_the_middle_leaves_nothing(seed):
    params, rng, reset = params_of(8, 64), np.random.default_rng(seed), Signal()
    unit, content = Storing(params), rng.bytes(params.memory)

    async def bench(ctx):
        await fill(ctx, unit.memory, content, params.lanes)
        for cycles in range(1, 40, 3):
            values, bases = random_move(params, rng)
            bus = Bus(params, rng, True)
            await begin(ctx, unit.store, values | {"runs": 9, "run_bytes": 40}, bases)
            for _ in range(cycles):
                bus.drive(ctx, unit.store)
                await ctx.tick()
                ctx.set(unit.store.unit.start, 0)
            ctx.set(reset, 1)
            ctx.set(unit.store.written, 0)
            await ctx.tick()
            ctx.set(reset, 0)
            store = unit.store
            assert not ctx.get(store.unit.busy) | ctx.get(store.command.valid) | ctx.get(store.data.valid)
            bus = Bus(params, rng, True)
            await run(ctx, unit, bus, values, bases)
            assert bus.found == expected_runs(params, content, values, bases)

    simulate(ResetInserter(reset)(unit), bench)
