"""A bank of `shift` and `shift_const` cores, one for each combination, that one counter drives."""

from collections.abc import Mapping
from typing import Any

from amaranth.hdl import Cat, Module, Signal

from roundel.golden.requant import RequantParams, Scheme
from roundel.golden.rounding import Rounding
from roundel.hw.lib import Component, Out
from roundel.hw.requant import ShiftCore

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


class Bank(Component):
    """All cores side by side on one accumulator."""

    latency = 0

    def __init__(self, out_width: int):
        self.rows = combinations(out_width)
        super().__init__(
            acc=Out(ACC_WIDTH, "The accumulator, which counts up from 0 after reset."),
            data=Out(len(self.rows) * out_width, "The results, that of the first combination in the lowest bits."),
        )

    def elaborate(self, platform: Any) -> Module:
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


def requant_bank(settings: Mapping[str, Any]) -> Bank:
    """The bank of an exhaustive bench's settings, `out_width`."""
    return Bank(settings["out_width"])
