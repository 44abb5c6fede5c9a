"""Shift-and-round requantizers: `shift_const` and `shift`."""

from typing import Any

from amaranth.hdl import Cat, Const, Module

from roundel.golden.requant import RequantParams
from roundel.hw.lib import Component, increment, named, window, window_const
from roundel.hw.requant.ports import core_ports


class ShiftCore(Component):
    """`clamp(round(acc / 2**shift))`, combinational.

    Of the shifted word only the bits of the result and the guard bit below them are ever needed
    (`roundel.hw.lib.shift_window`). The bits that are dropped above them must all repeat the sign, or the result
    saturates; that test takes the place of a full-width comparison. The rounding increment comes last, on the width of
    the result.

    Parameters
    ----------
    params
        A `RequantParams` of scheme `shift` or `shift_const`.
    """

    LATENCY = 0

    def __init__(self, params: RequantParams):
        self.requant = params
        super().__init__(**core_ports(params))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params, sign = self.requant, self.acc[-1]
        magnitude = params.out_width - (1 if params.out_signed else 0)
        zero_is_least = params.relu or not params.out_signed
        # Below zero the result is zero in one case and needs its own sign, one bit more, in the other.
        width = magnitude if zero_is_least else magnitude + 1

        if params.shift is not None:
            word, sticky, lost = window_const(self.acc, params.shift, width)
        else:
            word, sticky, lost = window(m, Cat(Const(0, 1), self.acc[:-1]), sign, self.params.shift, width)
        value = word[1:]
        rounded = named(m, value + increment(params.rounding, word, sticky, sign), "rounded")

        lost = named(m, lost, "lost")
        if zero_is_least:
            below = sign
            above = named(m, lost | rounded[width], "above")
        else:
            below = named(m, sign & (lost | ~value[-1]), "below")
            above = named(m, ~sign & (lost | value[-1] | rounded[magnitude]), "above")
        bits = (rounded[:magnitude] | above.replicate(magnitude)) & ~below.replicate(magnitude)
        if zero_is_least:
            m.d.comb += self.data.eq(bits)
        else:
            m.d.comb += self.data.eq(Cat(bits, sign & (below | rounded[magnitude])).as_signed())
        return m
