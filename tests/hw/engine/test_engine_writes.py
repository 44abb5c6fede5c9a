"""Units that take turns at the bus writer: each command's beats come together, and its answer goes to who gave it."""

from collections import deque
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from roundel.golden.engine import CONFIGS, EngineParams
from roundel.hw.engine.bus import Writes

UNITS, COMMANDS = 2, 40
LIMIT = 20_000  # cycles


@pytest.mark.parametrize("pause", [0.1, 0.8])
def test_answers_go_to_who_asked(pause: float, seed: int) -> None:
    """Commands, beats and answers in random cycles; several commands of a unit may be open."""
    rng, dut = np.random.default_rng(seed), Writes(EngineParams(**CONFIGS["tiny"]), UNITS)
    begun: list[int] = []  # whose command each was, in order
    beats: list[tuple[int, int]] = []  # unit and number of the command, in order
    answered: list[int] = []

    async def give(ctx: Any, unit: int) -> None:
        port = dut.units[unit]
        for number in range(COMMANDS):
            while rng.random() < pause:
                await ctx.tick()
            ctx.set(port.command.payload, unit << 16 | number)
            ctx.set(port.command.valid, 1)
            await ctx.tick().until(port.command.ready)
            ctx.set(port.command.valid, 0)
            ctx.set(port.data.p.data, unit << 16 | number)
            ctx.set(port.data.p.last, 1)
            ctx.set(port.data.valid, 1)
            await ctx.tick().until(port.data.ready)
            ctx.set(port.data.valid, 0)

    async def take(ctx: Any) -> None:
        writer, owed = dut.writer, deque[int]()
        for _ in range(LIMIT):
            if len(answered) == UNITS * COMMANDS:
                return
            ctx.set(writer.command.ready, int(rng.random() < 0.5))
            ctx.set(writer.data.ready, int(len(beats) < len(begun)))
            answers = len(owed) > 0 and rng.random() < 0.2
            ctx.set(writer.written, int(answers))
            if answers:
                told = [unit for unit in range(UNITS) if ctx.get(dut.units[unit].written)]
                assert told == [owed.popleft()]
                answered.extend(told)
            command = ctx.get(writer.command.valid) and ctx.get(writer.command.ready)
            data = ctx.get(writer.data.valid) and ctx.get(writer.data.ready)
            if command:
                begun.append(ctx.get(writer.command.payload) >> 16)
            if data:
                value = ctx.get(writer.data.p.data)
                beats.append((value >> 16, value & 0xFFFF))
                owed.append(begun[len(beats) - 1])
                assert value >> 16 == owed[-1]
            await ctx.tick()
        raise AssertionError("no end")

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for unit in range(UNITS):

        async def source(ctx: Any, unit: int = unit) -> None:
            await give(ctx, unit)

        simulator.add_testbench(source, background=True)
    simulator.add_testbench(take)
    simulator.run()
    for unit in range(UNITS):
        assert [number for one, number in beats if one == unit] == list(range(COMMANDS))
