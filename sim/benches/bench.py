"""What every bench starts from: its configuration, its randomness, a clock and a reset."""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from roundel.sim.contract import CONFIG_VARIABLE, PERIOD_NS


def config() -> dict[str, Any]:
    """Read the settings that `roundel.sim.runner.run` was given."""
    return dict(json.loads(Path(os.environ[CONFIG_VARIABLE]).read_text(encoding="utf-8")))


def generator(salt: int = 0) -> np.random.Generator:
    """Return a generator of random numbers, seeded by the run's seed.

    Parameters
    ----------
    salt
        Sets apart the generators of one bench.
    """
    return np.random.default_rng([cocotb.RANDOM_SEED, salt])


async def start(dut: Any) -> None:
    """Start the clock and reset the unit; returns just after a rising edge."""
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    dut.rst.value = 1
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await RisingEdge(dut.clk)
