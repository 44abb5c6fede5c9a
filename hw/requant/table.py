"""Requantizers that compare with a table: `threshold` and `codebook`."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal

from roundel.golden.requant import RequantParams, Scheme
from roundel.hw.lib import Component, select
from roundel.hw.requant.ports import core_ports


class TableCore(Component):
    """How many of the ascending boundaries are at most `acc`, by binary search; combinational.

    Each of the `b` steps compares with one boundary and settles one bit of the index, so `b` comparators and a
    multiplexer tree take the place of `2**b - 1` comparators. The upper index bit selects half of the table for all
    later steps, so every boundary passes through one multiplexer per step that is left.

    Parameters
    ----------
    params
        A `RequantParams` of scheme `threshold` or `codebook`.
    """

    LATENCY = 0

    def __init__(self, params: RequantParams):
        self.requant = params
        super().__init__(**core_ports(params))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params = self.requant
        is_threshold = params.scheme is Scheme.THRESHOLD
        boundaries = self.params.thresholds if is_threshold else self.params.boundaries
        table = [boundaries[i] for i in range(params.boundaries)]
        bits = []  # of the index, the top one first
        while table:
            half = len(table) // 2
            at_least = Signal(name=f"at_least_{len(table)}")
            m.d.comb += at_least.eq(self.acc >= table[half])
            bits.append(at_least)
            table = [select([low, high], at_least) for low, high in zip(table[:half], table[half + 1 :], strict=True)]
        index = Cat(*reversed(bits))
        if is_threshold:
            # Adding the least output, -2**(out_width - 1), to a signed result flips the top bit.
            top = ~bits[0] if params.out_signed else bits[0]
            m.d.comb += self.data.eq(Cat(index[:-1], top))
        else:
            levels = [self.params.levels[i] for i in range(params.boundaries + 1)]
            m.d.comb += [self.index.eq(index), self.data.eq(select(levels, index))]
        return m
