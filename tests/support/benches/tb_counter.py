"""Bench of the counter in `test_power`: enabled in one cycle out of four."""

from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from roundel.sim.benches.bench import config, start


@cocotb.test()
async def counts(dut: Any) -> None:
    dut.en.value = 0
    await start(dut)
    for cycle in range(config()["cycles"]):
        dut.en.value = int(cycle % 4 == 0)
        await RisingEdge(dut.clk)
