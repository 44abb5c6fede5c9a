"""Requantizers with an integer multiplier: `fixed8`, `fixed16` and gemmlowp's `fixed32`."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Value

from roundel.golden.requant import RequantParams
from roundel.hw.lib import Component, cut, increment, named, window
from roundel.hw.requant.ports import core_ports


class FixedCore(Component):
    """`clamp(round(acc * multiplier / 2**shift) + zero_point)`, multiplier unsigned.

    Combinational; with `params.pipeline` a register follows the multiplier, and `LATENCY` is 1.

    Parameters
    ----------
    params
        A `RequantParams` of scheme `fixed8` or `fixed16`.
    """

    def __init__(self, params: RequantParams):
        self.requant = params
        self.LATENCY = 1 if params.pipeline else 0
        super().__init__(**core_ports(params))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        runtime = self.params
        product, shift, zero_point = cut(m, self, self.acc * runtime.multiplier, runtime.shift, runtime.zero_point)
        m.d.comb += self.data.eq(round_and_clamp(m, product, shift, zero_point, self.requant))
        return m


class GemmlowpCore(Component):
    """Gemmlowp's two roundings: `RoundingDivideByPOT(SaturatingRoundingDoublingHighMul(acc, multiplier), shift)`.

    Then zero point and clamp. Combinational; with `params.pipeline` registers follow the multiplier and the first
    rounding, and `LATENCY` is 2.

    Parameters
    ----------
    params
        A `RequantParams` of scheme `fixed32`.
    """

    def __init__(self, params: RequantParams):
        self.requant = params
        self.LATENCY = 2 if params.pipeline else 0
        super().__init__(**core_ports(params))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        runtime, width = self.params, self.requant.acc_width
        product, shift, zero_point = cut(m, self, self.acc * runtime.multiplier, runtime.shift, runtime.zero_point)
        # Adding half before the floor is adding the last bit dropped after it.
        doubled = named(m, product[31:].as_signed() + product[30], "doubled")
        # Only both operands most negative gets beyond the width, by one.
        too_large = ~doubled[-1] & doubled[width - 1]
        saturated = Cat(doubled[: width - 1] | too_large.replicate(width - 1), doubled[-1]).as_signed()
        saturated, shift, zero_point = cut(m, self, saturated, shift, zero_point)
        m.d.comb += self.data.eq(round_and_clamp(m, saturated, shift, zero_point, self.requant))
        return m


def round_and_clamp(m: Module, value: Value, shift: Value, zero_point: Value, params: RequantParams) -> Value:
    """`clamp(round(value / 2**shift) + zero_point)`, under ReLU with the zero point as the least result.

    Whatever the zero point, a result in range comes from a rounded value of at most `out_width + 1` bits with its sign;
    anything beyond saturates, so the adder for the zero point is no wider than that.
    """
    width, sign = params.out_width + 1, value[-1]
    word, sticky, lost = window(m, Cat(Const(0, 1), value[:-1]), sign, shift, width)
    far = named(m, lost | (word[-1] ^ sign), "far")
    rounded = named(m, word[1:].as_signed() + increment(params.rounding, word, sticky, sign), "rounded")
    return add_zero_point(m, rounded, far, sign, zero_point, params)


def add_zero_point(m: Module, value: Value, far: Value, sign: Value, zero_point: Value, params: RequantParams) -> Value:
    """`clamp(value + zero_point)`; saturated towards `sign` where `far` says that `value` is not to be trusted."""
    low, high = params.limits
    total = named(m, value + zero_point, "total")
    outside = total[params.out_width - 1 :] if params.out_signed else total[params.out_width :]
    above = named(m, ~sign & far | ~far & ~total[-1] & outside.any(), "above")
    below = named(m, sign & far | ~far & total[-1] & ~outside.all(), "below")
    if not params.out_signed:
        below = sign & far | ~far & total[-1]
    bits = Mux(
        above, Const(high, params.out_width), Mux(below, Const(low, params.out_width), total[: params.out_width])
    )
    if params.relu:
        bits = Mux(sign, zero_point, bits)
    return bits.as_signed() if params.out_signed else bits
