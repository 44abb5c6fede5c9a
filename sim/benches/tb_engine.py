"""Bench of the engine: follows a script of its registers, beside a memory that needs no Python while it runs.

Configuration: `settings` of the memory by name, and `script`, a list of

- `["write", offset, value]` and `["read", offset]` of a register,
- `["wait", limit]` for the interrupt, at most so many cycles,
- `["rest", limit]` until the engine is not busy, at most about so many cycles,
- `["cycles", count]`,
- `["watch", count]`, so many cycles or up to the interrupt,
- `["restore"]` the memory to what it was at the beginning.

The run's folder gets `answers.json`: what each `read` brought, in order. The memory is dumped at the end.
"""

import json
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, First, ReadOnly, RisingEdge, Timer

from roundel.golden.engine import OFFSETS, Status
from roundel.sim.benches.bench import config, start
from roundel.sim.contract import PERIOD_NS

OKAY = 0
POLL = 20  # cycles between two looks at the status


class Registers:
    """An AXI4-Lite master that does one thing at a time."""

    def __init__(self, dut: Any):
        self.dut, self.edge = dut, RisingEdge(dut.clk)
        for name in ("awvalid", "wvalid", "arvalid"):
            getattr(dut, f"s_axi_{name}").value = 0
        dut.s_axi_bready.value = dut.s_axi_rready.value = 1
        dut.s_axi_wstrb.value = 15

    async def write(self, offset: int, value: int) -> None:
        """Write a whole register."""
        dut = self.dut
        dut.s_axi_awaddr.value, dut.s_axi_wdata.value = offset, value
        waiting = {"aw", "w"}
        dut.s_axi_awvalid.value = dut.s_axi_wvalid.value = 1
        while waiting:
            await self.edge
            for channel in sorted(waiting):
                if getattr(dut, f"s_axi_{channel}ready").value:
                    getattr(dut, f"s_axi_{channel}valid").value = 0
                    waiting.remove(channel)
        while not dut.s_axi_bvalid.value:
            await self.edge
        assert int(dut.s_axi_bresp.value) == OKAY, f"writing register {offset:#x} was refused"
        await self.edge

    async def read(self, offset: int) -> int:
        """Read a register."""
        dut = self.dut
        dut.s_axi_araddr.value, dut.s_axi_arvalid.value = offset, 1
        await self.edge
        while not dut.s_axi_arready.value:
            await self.edge
        dut.s_axi_arvalid.value = 0
        while not dut.s_axi_rvalid.value:
            await self.edge
        assert int(dut.s_axi_rresp.value) == OKAY, f"reading register {offset:#x} was refused"
        value = int(dut.s_axi_rdata.value)
        await self.edge
        return value


async def interrupt(dut: Any, limit: int) -> bool:
    """Wait for it; whether it came within so many cycles."""
    if dut.interrupt.value:
        return True
    await First(RisingEdge(dut.interrupt), Timer(limit * PERIOD_NS, unit="ns"))
    await ReadOnly()
    came = bool(dut.interrupt.value)
    await RisingEdge(dut.clk)
    return came


async def follow(dut: Any, script: list[list[Any]]) -> list[int]:
    """Do what the script says; what was read."""
    registers, answers = Registers(dut), []
    for step, *values in script:
        match step:
            case "write":
                await registers.write(*values)
            case "read":
                answers.append(await registers.read(*values))
            case "wait":
                assert await interrupt(dut, values[0]), f"no interrupt within {values[0]} cycles"
            case "watch":
                await interrupt(dut, values[0])
            case "rest":
                for _ in range(-(-values[0] // POLL)):
                    if not await registers.read(OFFSETS["status"]) & Status.BUSY:
                        break
                    await ClockCycles(dut.clk, POLL)
                else:
                    raise AssertionError(f"still busy after {values[0]} cycles")
            case "cycles":
                await ClockCycles(dut.clk, values[0])
            case "restore":
                dut.restore.value = 1
                await ClockCycles(dut.clk, 2)
                dut.restore.value = 0
            case _:
                raise ValueError(f"{step} is no step of a script")
    return answers


@cocotb.test()
async def follows_script(dut: Any) -> None:
    """Every step of the script comes to its end in time."""
    given = config()
    for name, value in given["settings"].items():
        getattr(dut, name).value = value
    await start(dut)
    answers = await follow(dut, given["script"])
    Path("answers.json").write_text(json.dumps(answers), encoding="utf-8")
    dut.dump.value = 1
    await ClockCycles(dut.clk, 2)
