"""Bench of a circuit for a function of one value between registers: one operation a cycle, no handshake.

Configuration: `latency`; `held`, by port an integer as text that stays; `stimulus`, an npz file with one array for each
other input, which changes with each operation, and `expected`, the bytes that golden gives.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from roundel.sim.benches.bench import config
from roundel.sim.contract import PERIOD_NS


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """Every byte equals golden, `latency` cycles after its operands."""
    settings = config()
    latency = settings["latency"]
    with np.load(settings["stimulus"]) as archive:
        arrays = {name: archive[name] for name in archive.files}
    expected = arrays.pop("expected").tolist()
    columns = {getattr(dut, name): values.tolist() for name, values in arrays.items()}
    Clock(dut.clk, PERIOD_NS, unit="ns").start(start_high=False)
    for name, value in settings["held"].items():
        getattr(dut, name).value = int(value)
    results = []
    edge = FallingEdge(dut.clk)
    for cycle in range(len(expected) + latency):
        await edge
        if cycle >= latency:
            results.append(int(dut.result.value))
        if cycle < len(expected):
            for port, values in columns.items():
                port.value = values[cycle]
    wrong = [place for place, (got, wanted) in enumerate(zip(results, expected, strict=True)) if got != wanted]
    if wrong:
        first = wrong[0]
        given = {name: values[first] for name, values in arrays.items()}
        raise AssertionError(f"operation {first} of {given}: {results[first]}, golden {expected[first]}")
