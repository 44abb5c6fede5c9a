"""Every 16-bit accumulator, through every shift and every rounding: `shift` and `shift_const`, side by side.

The design under test is `roundel.sim.stimuli.requant.Bank`, so that the whole input space takes 65,536 cycles.
"""

from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from roundel.sim.benches.bench import config, start
from roundel.sim.stimuli import ACC_WIDTH, combinations


@cocotb.test()
async def matches_golden_everywhere(dut: Any) -> None:
    """All 65,536 accumulators, all shifts, all roundings, signed, ReLU and unsigned."""
    width = config()["out_width"]
    rows = combinations(width)
    await start(dut)
    words: dict[int, int] = {}
    edge = RisingEdge(dut.clk)
    for _ in range(1 << ACC_WIDTH):
        words[int(dut.acc.value)] = int(dut.data.value)
        await edge
    assert len(words) == 1 << ACC_WIDTH, f"only {len(words)} accumulators were seen"

    size = (len(rows) * width + 7) // 8
    raw = np.frombuffer(b"".join(words[acc].to_bytes(size, "little") for acc in range(1 << ACC_WIDTH)), dtype=np.uint8)
    bits = np.unpackbits(raw.reshape(1 << ACC_WIDTH, size), axis=1, bitorder="little")[:, : len(rows) * width]
    places = 1 << np.arange(width)
    results = (bits.reshape(1 << ACC_WIDTH, len(rows), width) * places).sum(axis=2)
    accumulators = np.arange(1 << ACC_WIDTH).astype(np.uint16).view(np.int16).astype(np.int64)
    for column, (params, runtime) in enumerate(rows):
        wrong = np.flatnonzero(results[:, column] != params.compute(accumulators, runtime) & ((1 << width) - 1))
        assert not wrong.size, f"{params} {runtime}: acc {accumulators[wrong[0]]} gives {results[wrong[0], column]}"
