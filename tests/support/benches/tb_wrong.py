"""A bench with one test that holds and one that fails, for the tests of the harness."""

from typing import Any

import cocotb

from roundel.sim.benches.bench import start


@cocotb.test()
async def counts(dut: Any) -> None:
    await start(dut)
    assert int(dut.count.value) < 16


@cocotb.test()
async def counts_to_nowhere(dut: Any) -> None:
    await start(dut)
    assert int(dut.count.value) == 99, "the counter never gets there"
