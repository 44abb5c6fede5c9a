"""What starts, stops and ends a run, rule by rule; and the watchdog, cycle by cycle."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.sim import Simulator

from roundel.golden.engine import COUNTERS, ErrorCode
from roundel.hw.engine import dispatch as engine_watchdog
from roundel.hw.engine.control import Control
from roundel.hw.engine.dispatch import Watchdog

FAULT = {"code": ErrorCode.READ, "address": 0x1234, "number": 7}
NO_FAULT = dict.fromkeys(FAULT, 0)
BITS = ("busy", "done", "error", "was_dropped")


def simulate(dut: Any, drive: Callable[[Any], Coroutine[Any, Any, None]]) -> None:
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()


class Bench:
    """A control unit whose inputs are pulses."""

    def __init__(self, ctx: Any, dut: Control):
        self.ctx, self.dut = ctx, dut

    async def pulse(self, *names: str, fault: dict[str, int] | None = None) -> None:
        """These inputs for a cycle, and a fault, which is held."""
        for name in names:
            self.ctx.set(getattr(self.dut, name), 1)
        if fault is not None:
            self.ctx.set(self.dut.fault, fault)
        await self.ctx.tick()
        for name in names:
            self.ctx.set(getattr(self.dut, name), 0)

    @property
    def status(self) -> set[str]:
        return {name for name in BITS if self.ctx.get(getattr(self.dut, name))}

    @property
    def fault(self) -> dict[str, int]:
        return {name: self.ctx.get(getattr(self.dut.last_fault, name)) for name in FAULT}

    @property
    def core(self) -> tuple[int, int]:
        """Whether the core is out of its reset, and whether it is to stop."""
        return self.ctx.get(self.dut.run), self.ctx.get(self.dut.stop)

    async def rest(self) -> None:
        """The bus owes an answer for a while, in which nothing changes; then no more."""
        before = self.status
        for _ in range(3):
            assert self.core == (1, 1)
            assert self.status == before
            await self.pulse()
        await self.pulse("idle")
        self.ctx.set(self.dut.fault, NO_FAULT)  # the core is in reset
        await self.pulse()
        assert self.core == (0, 0)


def bench(scenario: Callable[[Bench], Coroutine[Any, Any, None]]) -> None:
    dut = Control()

    async def drive(ctx: Any) -> None:
        await scenario(Bench(ctx, dut))

    simulate(dut, drive)


def test_a_run_is_done_when_the_bus_is_at_rest() -> None:
    async def scenario(unit: Bench) -> None:
        for _ in range(2):
            await unit.pulse("start")
            assert unit.status == {"busy"}
            assert unit.core == (1, 0)
            await unit.pulse("idle")  # nothing is owed for the moment
            assert unit.core == (1, 0)
            await unit.pulse("finished")
            assert unit.status == {"busy"}
            await unit.rest()
            assert unit.status == {"done"}
        await unit.pulse("clear")
        assert unit.status == set()

    bench(scenario)


@pytest.mark.parametrize("bit", ["reset", "clear"])
def test_an_error_stands_until_it_is_taken_away(bit: str) -> None:
    async def scenario(unit: Bench) -> None:
        await unit.pulse("start")
        await unit.pulse(fault=FAULT)
        assert (unit.status, unit.fault) == ({"busy"}, NO_FAULT)
        await unit.rest()
        assert (unit.status, unit.fault) == ({"error"}, FAULT)
        await unit.pulse("start")
        assert (unit.status, unit.fault, unit.core) == ({"error"}, FAULT, (0, 0))
        await unit.pulse(bit)
        assert (unit.status, unit.fault) == (set(), NO_FAULT)
        await unit.pulse("start")
        assert unit.status == {"busy"}

    bench(scenario)


def test_reset_and_start_in_one_write_begin_anew() -> None:
    async def scenario(unit: Bench) -> None:
        await unit.pulse("start")
        await unit.pulse(fault=FAULT)
        await unit.rest()
        await unit.pulse("reset", "start")
        assert (unit.status, unit.fault) == ({"busy"}, NO_FAULT)

    bench(scenario)


@pytest.mark.parametrize("end", [{"fault": FAULT}, {}], ids=["fault", "end"])
@pytest.mark.parametrize("when", ["running", "with the end", "stopping", "at rest"])
def test_a_run_that_is_reset_leaves_nothing(when: str, end: dict[str, Any]) -> None:
    finished = () if end else ("finished",)

    async def scenario(unit: Bench) -> None:
        await unit.pulse("start")
        if when == "running":
            await unit.pulse("reset")
            unit.ctx.set(unit.dut.fault, end.get("fault", NO_FAULT))
        elif when == "with the end":
            await unit.pulse("reset", *finished, **end)
        else:
            await unit.pulse(*finished, **end)
            await unit.pulse("reset", *(["idle"] if when == "at rest" else []))
        if when == "at rest":
            unit.ctx.set(unit.dut.fault, NO_FAULT)
        else:
            await unit.rest()
        assert (unit.status, unit.fault) == (set(), NO_FAULT)

    bench(scenario)


def test_a_start_while_busy_is_an_error_beside_the_run() -> None:
    busy = NO_FAULT | {"code": ErrorCode.BUSY}

    async def scenario(unit: Bench) -> None:
        await unit.pulse("start")
        await unit.pulse("start")
        assert (unit.status, unit.fault, unit.core) == ({"busy", "error"}, busy, (1, 0))
        await unit.pulse("finished")
        await unit.rest()
        assert (unit.status, unit.fault) == ({"done", "error"}, busy)
        await unit.pulse("clear", "start")
        assert unit.status == set()  # the start met the error
        await unit.pulse("start")
        await unit.pulse("start")
        await unit.pulse(fault=FAULT)
        await unit.rest()
        assert (unit.status, unit.fault) == ({"error"}, FAULT)

    bench(scenario)


def test_dropped_boxes_are_told_until_the_next_run() -> None:
    async def scenario(unit: Bench) -> None:
        await unit.pulse("start")
        unit.ctx.set(unit.dut.boxes, 5)
        await unit.pulse("dropped", "boxes_valid")
        await unit.pulse("finished")
        await unit.rest()
        assert unit.status == {"done", "was_dropped"}
        await unit.pulse("clear")
        assert unit.status == {"was_dropped"}
        assert unit.ctx.get(unit.dut.last_boxes) == 5
        await unit.pulse("start")
        assert unit.status == {"busy"}
        assert unit.ctx.get(unit.dut.last_boxes) == 0

    bench(scenario)


@pytest.mark.parametrize("name", COUNTERS)
def test_counters_are_of_the_run(name: str) -> None:
    async def scenario(unit: Bench) -> None:
        for cycles in (9, 5):
            unit.ctx.set(unit.dut.activity.flags[name], 1)
            await unit.pulse("start")
            for _ in range(cycles - 1):
                await unit.pulse()
            await unit.pulse("finished")
            await unit.rest()
            found = {one: unit.ctx.get(getattr(unit.dut, one)) for one in ("cycles", *COUNTERS)}
            assert found == dict.fromkeys(COUNTERS, 0) | {name: cycles, "cycles": cycles}

    bench(scenario)


@pytest.mark.parametrize("active", [0, 1])
def test_watchdog_is_patient_with_units_at_work(active: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cycle in time is enough to begin anew; what expired stands."""
    monkeypatch.setattr(engine_watchdog, "PATIENCE", 64)
    monkeypatch.setattr(engine_watchdog, "QUIET", 16)
    dut, most = Watchdog(), 63 if active else 16  # cycles

    async def drive(ctx: Any) -> None:
        ctx.set(dut.active, active)
        for quiet, expired in ((0, 0), (most, 0), (most, 0), (most + 1, 1), (0, 1)):
            ctx.set(dut.progress, 0)
            for _ in range(quiet):
                await ctx.tick()
            ctx.set(dut.progress, 1)
            await ctx.tick().repeat(3)
            assert ctx.get(dut.expired) == expired

    simulate(dut, drive)
