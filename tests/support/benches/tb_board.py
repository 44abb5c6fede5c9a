"""Bench of `requant` behind the serial chain of a board's top module: bits in and out by its wires alone.

Configuration: `params`, the keyword arguments of `RequantParams`; `length` of the chain; `beats`.
"""

from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge

from roundel.golden.requant import RequantParams
from roundel.sim.benches.bench import config, generator
from roundel.sim.benches.tb_requant import input_members, output_members, random_stimulus
from roundel.sim.stimuli import pack, unpack

HOLD = 4  # cycles that the top module wants every line to stand


async def pulse(dut: Any, name: str) -> None:
    """Let a line rise and fall."""
    for level in (1, 0):
        getattr(dut, name).value = level
        await ClockCycles(dut.clk_25mhz, HOLD)


async def exchange(dut: Any, word: int, length: int) -> int:
    """Put `word` into the chain, highest bit first, and return what was in it."""
    before = 0
    for place in reversed(range(length)):
        before = before << 1 | int(dut.scan_out.value)
        dut.scan_in.value = word >> place & 1
        await pulse(dut, "scan_clock")
    return before


@cocotb.test()
async def results_come_back_through_the_chain(dut: Any) -> None:
    settings = config()
    params, length, beats = RequantParams(**settings["params"]), settings["length"], settings["beats"]
    for name in ("button", "scan_clock", "scan_in", "scan_apply"):
        getattr(dut, name).value = 0
    Clock(dut.clk_25mhz, 40, unit="ns").start()
    dut.button.value = 1
    await ClockCycles(dut.clk_25mhz, 8)
    await FallingEdge(dut.clk_25mhz)
    assert dut.led.value[1] == 1
    dut.button.value = 0
    await ClockCycles(dut.clk_25mhz, 8)
    assert dut.led.value[1] == 0
    columns = random_stimulus(generator(), params, beats) | {"first": [0] * beats, "last": [1] * beats}
    payloads = pack(input_members(params), columns, beats)
    width = sum(member.width * member.count for member in input_members(params))
    results = []
    for number in range(beats + 2):
        valid = number < beats
        word = (int(payloads[number]) if valid else 0) | valid << width | 1 << (width + 1)  # payload, valid, ready
        after = await exchange(dut, word, length)
        if number:
            ready, payload, seen = (
                after & 1,
                after >> 1 & ((1 << width_out(params)) - 1),
                after >> (1 + width_out(params)),
            )
            assert ready == 1
            assert seen == (number > 1)  # the result of a beat shows when the next one is applied
            results += [payload] * seen
        await pulse(dut, "scan_apply")
    found = unpack(output_members(params), results)
    runtime = {field.name: columns[field.name] for field in params.runtime_fields}
    assert found["data"].tolist() == params.compute(columns["acc"], runtime).tolist()
    assert found["last"].tolist() == [1] * beats


def width_out(params: RequantParams) -> int:
    """Bits of a result."""
    return sum(member.width * member.count for member in output_members(params))
