"""Bench of a requantizer operator between registers: one operation per cycle, no handshake.

Configuration: `params`, the keyword arguments of `RequantParams`; `latency`; `stimulus`, an npz file with `acc` and one
array per run-time field.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from roundel.golden.requant import RequantParams
from roundel.sim.benches.bench import config
from roundel.sim.benches.tb_requant import FRAME, input_members, output_members
from roundel.sim.contract import PERIOD_NS
from roundel.sim.stimuli import pack, unpack


@cocotb.test()
async def matches_golden(dut: Any) -> None:
    """Every operation equals golden, `latency` cycles after its operands."""
    settings = config()
    params, latency = RequantParams(**settings["params"]), settings["latency"]
    with np.load(settings["stimulus"]) as archive:
        stimulus = {name: archive[name] for name in archive.files}
    count = len(stimulus["acc"])
    operands, runtime = (members := [m for m in input_members(params) if m not in FRAME])[:1], members[1:]
    accumulators = pack(operands, stimulus, count)
    parameters = pack(runtime, stimulus, count) if runtime else []
    outputs = [member for member in output_members(params) if member.name == "data"]

    Clock(dut.clk, PERIOD_NS, unit="ns").start(start_high=False)
    words = []
    before = None
    edge = FallingEdge(dut.clk)
    for cycle in range(count + latency):
        await edge
        if cycle >= latency:
            words.append(int(dut.data.value))
        if cycle < count:
            dut.acc.value = accumulators[cycle]
            if parameters and parameters[cycle] != before:
                dut.params.value = before = parameters[cycle]
    results = unpack(outputs, words)["data"]
    expected = params.compute(stimulus["acc"], {member.name: stimulus[member.name] for member in runtime})
    wrong = np.flatnonzero(results != expected)
    if wrong.size:
        first = int(wrong[0])
        given = {name: np.asarray(value)[first].tolist() for name, value in stimulus.items()}
        raise AssertionError(f"operation {first} of {given}: {results[first]}, golden {expected[first]}")
