"""The requantizer that multiplies in binary32: `float32`."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from roundel.golden.requant import RequantParams
from roundel.golden.rounding import Rounding
from roundel.hw.lib import Component, cut, increment, named, window
from roundel.hw.requant.fixed import add_zero_point
from roundel.hw.requant.ports import core_ports

MANTISSA = 24  # bits of a binary32 significand, the leading one included
BIAS = 127


class FloatCore(Component):
    """`clamp(rint(float32(acc) * scale) + zero_point)`, rounding half to even three times as IEEE 754 does.

    The conversion to binary32, the product and the conversion to an integer each round. Combinational; with
    `params.pipeline` registers follow the conversion, the multiplier and the second rounding, and `LATENCY` is 3.

    Subnormal scales and products count as zero here: no accumulator of 48 bits lifts them to one half, so the result
    is exact for every finite scale.

    Parameters
    ----------
    params
        A `RequantParams` of scheme `float32`.
    """

    def __init__(self, params: RequantParams):
        self.requant = params
        self.LATENCY = 3 if params.pipeline else 0
        super().__init__(**core_ports(params))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params = self.requant
        scale, zero_point = self.params.scale, self.params.zero_point
        sign = self.acc[-1] ^ scale[-1]
        mantissa, exponent = _to_binary32(m, self.acc)
        exponent = exponent + scale[23:31]
        zero = (self.acc == 0) | (scale[23:31] == 0)
        mantissa, exponent, sign, zero, factor, zero_point = cut(
            m, self, mantissa, exponent, sign, zero, Cat(scale[:23], Const(1, 1)), zero_point
        )
        product = named(m, mantissa * factor, "product")
        product, exponent, sign, zero, zero_point = cut(m, self, product, exponent, sign, zero, zero_point)
        mantissa, carry = _round_product(m, product)
        mantissa, exponent, sign, zero, zero_point = cut(m, self, mantissa, exponent + carry, sign, zero, zero_point)

        # mantissa * 2**(exponent - BIAS - 23): the binary point sits `out_width` bits from the top at a shift of 0.
        shift = named(m, Const(BIAS + params.out_width) - exponent, "shift")
        amount = shift[: (params.out_width + 1).bit_length()]
        low = MANTISSA - params.out_width - 2  # position of the guard bit at a shift of 0
        word, sticky, _ = window(m, mantissa[low:], Const(0, 1), amount, params.out_width + 1)
        far = named(m, shift[-1] & ~zero, "far")
        tiny = zero | ~shift[-1] & (shift > params.out_width + 1)
        sticky |= mantissa[:low].any()
        rounded = named(m, word[1:] + increment(Rounding.HALF_EVEN, word, sticky, Const(0, 1)), "rounded")
        size = Mux(tiny, 0, rounded)
        value = named(m, Cat(size, Const(0, 1)) ^ sign.replicate(len(size) + 1), "value")
        result = add_zero_point(m, value.as_signed() + sign, far, sign, zero_point, params)
        m.d.comb += self.data.eq(result)
        return m


def _to_binary32(m: Module, acc: Value) -> tuple[Value, Value]:
    """Significand of 24 bits and exponent (0 for 1.0) of `acc`, rounded half to even; anything for zero."""
    sign = acc[-1]
    word: Value = named(m, (acc ^ sign.replicate(len(acc)))[: len(acc)] + sign, "size")[: len(acc)]
    places = []
    for stage in reversed(range((len(acc) - 1).bit_length())):
        step = 1 << stage
        empty = named(m, ~word[-step:].any(), f"empty_{stage}")
        word = named(m, Mux(empty, Cat(Const(0, step), word[:-step]), word), f"normal_{stage}")
        places.append(empty)
    leading_zeros = Cat(*reversed(places))
    exponent = len(acc) - 1 - leading_zeros
    if len(acc) <= MANTISSA:
        return Cat(Const(0, MANTISSA - len(acc)), word), exponent
    mantissa, carry = _round(m, word, "converted")
    return mantissa, exponent + carry


def _round_product(m: Module, product: Value) -> tuple[Value, Value]:
    """Significand of a product of two significands, and what its exponent gains."""
    large = product[-1]
    word = named(m, Mux(large, product, Cat(Const(0, 1), product[:-1])), "normal_product")
    mantissa, carry = _round(m, word, "multiplied")
    return mantissa, large + carry


def _round(m: Module, word: Value, name: str) -> tuple[Value, Value]:
    """Round a word with its leading bit set to 24 bits, half to even; returns them and whether 2.0 was reached."""
    low = len(word) - MANTISSA
    up = increment(Rounding.HALF_EVEN, word[low - 1 :], word[: low - 1].any(), Const(0, 1))
    total = Signal(MANTISSA + 1, name=name)
    m.d.comb += total.eq(word[low:] + up)
    # After a carry all bits below the leading one are zero.
    return Cat(total[: MANTISSA - 1], Const(1, 1)), total[-1]
