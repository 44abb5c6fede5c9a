"""Bench of the whole engine between the AXI4-Lite master and the AXI4 slave of cocotbext-axi, with the rules beside it.

Configuration: `stalls`, how probable it is on each channel of both sides that nothing happens in a cycle; `burst` and
`outstanding` for the rules; `bases` of the regions; and `runs`, each with its own memory as in `memory.bin`:

- `bad`: addresses of beats that are answered with an error,
- `reset`: cycles from the start to a write of control reset, or none,
- `line`: cycles from the start to a pulse of the reset line, or none.

The run's folder gets `answers.json`, all registers after each run, and `dumped.bin`, the memory after the last.
"""

import json
import logging
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, First, ReadOnly, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiSlave

from roundel.golden.engine import BASES, OFFSETS, Control, Status
from roundel.sim.benches.bench import config, generator, start
from roundel.sim.benches.stream import stall_pattern
from tests.support.axi_harness import Memory
from tests.support.axi_rules import PAGE, AxiRules

LIMIT = 100_000  # cycles


class Harness:
    """The engine with a master, a slave and the rules."""

    def __init__(self, dut: Any):
        self.dut, self.settings, rng = dut, config(), generator()
        self.image = Path("memory.bin").read_bytes()
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.ERROR)
        self.memory = Memory(len(dut.m_axi_rdata) // 8)
        slave = AxiSlave(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, target=self.memory)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
        for side in (slave, self.master) if self.settings["stalls"] else ():
            reader, writer = side.read_if, side.write_if
            channels = reader.ar_channel, reader.r_channel, writer.aw_channel, writer.w_channel, writer.b_channel
            for channel in channels:
                pattern = stall_pattern(np.random.default_rng(rng.integers(1 << 32)), self.settings["stalls"])
                channel.set_pause_generator(pattern)
        self.rules = AxiRules(dut, burst=self.settings["burst"], outstanding=self.settings["outstanding"])
        cocotb.start_soon(self.rules.watch())

    async def write(self, name: str, value: int) -> None:
        await self.master.write_dword(OFFSETS[name], value)

    async def registers(self) -> dict[str, int]:
        return {name: await self.master.read_dword(offset) for name, offset in OFFSETS.items()}

    async def run(self, *, bad: list[int], reset: int | None = None, line: int | None = None) -> dict[str, int]:
        """One run with a new memory; all registers when it is over."""
        self.memory.bad = set(bad)
        self.memory.pages = {
            at // PAGE: bytearray(self.image[at:][:PAGE].ljust(PAGE, b"\0")) for at in range(0, len(self.image), PAGE)
        }
        for name, base in zip(BASES.values(), self.settings["bases"], strict=True):
            await self.write(name, base)
        await self.write("interrupt", 1)
        await self.write("control", Control.CLEAR)  # or the interrupt is still that of the run before
        await self.write("control", Control.START)
        if line is not None:
            await self.pull(line)
        elif reset is not None:
            await ClockCycles(self.dut.clk, reset)
            await self.write("control", Control.RESET)
            await self.rest()
        else:
            await self.interrupt()
        assert not self.rules.owed, "the bus is not at rest"
        return await self.registers()

    async def pull(self, cycles: int) -> None:
        """The reset line, after so many cycles."""
        await ClockCycles(self.dut.clk, cycles)
        self.dut.rst.value = 1
        await ClockCycles(self.dut.clk, 2)
        self.dut.rst.value = 0
        await RisingEdge(self.dut.clk)

    async def interrupt(self) -> None:
        if not self.dut.interrupt.value:
            await First(RisingEdge(self.dut.interrupt), ClockCycles(self.dut.clk, LIMIT))
            await ReadOnly()
            assert self.dut.interrupt.value, f"no interrupt within {LIMIT} cycles"
            await RisingEdge(self.dut.clk)

    async def rest(self) -> None:
        for _ in range(LIMIT // 20):
            if not await self.master.read_dword(OFFSETS["status"]) & Status.BUSY:
                return
        raise AssertionError("still busy")


@cocotb.test()
async def runs_end_as_they_should(dut: Any) -> None:
    """All of them; the test that started this bench knows what the registers and the memory must be."""
    harness = Harness(dut)
    await start(dut)
    answers = []
    for run in harness.settings["runs"]:
        answers.append(await harness.run(**run))
        if answers[-1]["status"] not in (0, Status.DONE):
            await harness.write("control", Control.RESET)
    Path("answers.json").write_text(json.dumps(answers))
    size = len(harness.image)
    Path("dumped.bin").write_bytes(b"".join(bytes(harness.memory.page(at)) for at in range(0, size, PAGE))[:size])
