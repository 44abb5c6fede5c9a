"""Bench of `test_mapping`: random inputs to a Verilog design and to its mapped netlists; `same` stays all ones."""

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from roundel.sim.benches.bench import config, generator, start


@cocotb.test()
async def netlists_follow_the_design(dut: Any) -> None:
    rng = generator()
    settings = config()
    dut.en.value = 1
    dut.stimulus.value = 0
    await start(dut)
    for _ in range(settings["cycles"]):
        await FallingEdge(dut.clk)  # half a cycle before registers see the inputs
        assert dut.same.value == (1 << settings["netlists"]) - 1
        dut.rst.value = int(rng.random() < 0.02)
        dut.en.value = int(rng.random() < 0.5)
        dut.stimulus.value = int.from_bytes(rng.bytes(4), "little")
