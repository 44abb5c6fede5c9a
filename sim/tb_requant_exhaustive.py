"""Every 16-bit accumulator, through every shift and every rounding: `shift` and `shift_const`, side by side.

One bank holds a core for each combination and a counter that walks through all accumulators, so that the whole input
space takes 65,536 cycles.
"""

from typing import Any

import cocotb
import numpy as np
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from cocotb.triggers import RisingEdge

from golden.requant import RequantParams, Scheme
from golden.rounding import Rounding
from hw.requant_shift import ShiftCore
from sim.bench import config, start

ACC_WIDTH = 16


def combinations(out_width: int) -> list[tuple[RequantParams, dict[str, int]]]:
    """Parameters and run-time shift of every core in the bank."""
    rows: list[tuple[RequantParams, dict[str, int]]] = []
    for rounding in Rounding:
        for kind in ({}, {"relu": True}, {"out_signed": False}):
            common: dict[str, Any] = {"acc_width": ACC_WIDTH, "out_width": out_width, "rounding": rounding} | kind
            rows += [(RequantParams(scheme=Scheme.SHIFT, **common), {"shift": shift}) for shift in range(ACC_WIDTH)]
            rows += [
                (RequantParams(scheme=Scheme.SHIFT_CONST, shift=shift, **common), {}) for shift in range(ACC_WIDTH)
            ]
    return rows


class Bank(wiring.Component):
    """All cores side by side on one accumulator.

    Members
    -------
    acc : Out(16)
        Counts up from 0 after reset.
    data : Out(n * out_width)
        The results, that of the first combination in the lowest bits.
    """

    latency = 0

    def __init__(self, out_width: int):
        self.rows = combinations(out_width)
        super().__init__({"acc": Out(ACC_WIDTH), "data": Out(len(self.rows) * out_width)})

    def elaborate(self, platform):
        m = Module()
        count = Signal(ACC_WIDTH)
        m.d.sync += count.eq(count + 1)
        results = []
        for number, (params, runtime) in enumerate(self.rows):
            m.submodules[f"core_{number}"] = core = ShiftCore(params)
            m.d.comb += core.acc.eq(count.as_signed())
            if runtime:
                m.d.comb += core.params.shift.eq(runtime["shift"])
            results.append(core.data.as_unsigned())
        m.d.comb += [self.acc.eq(count), self.data.eq(Cat(*results))]
        return m


def component(settings: dict[str, Any]) -> Bank:
    """The design under test, for `sim.verify`."""
    return Bank(settings["out_width"])


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
