"""A bench with a test that holds, one that fails and, if told so, one that is wrong itself, for the harness' tests."""

from typing import Any

import cocotb

from roundel.sim.benches.bench import config, start


@cocotb.test()
async def counts(dut: Any) -> None:
    await start(dut)
    assert int(dut.count.value) < 16


@cocotb.test()
async def counts_to_nowhere(dut: Any) -> None:
    await start(dut)
    assert int(dut.count.value) == 99, "the counter never gets there"


@cocotb.test()
async def is_wrong_itself(dut: Any) -> None:
    await start(dut)
    if config().get("wrong"):
        raise ValueError("not a mismatch")
