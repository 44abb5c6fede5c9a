"""Shift-and-round requantizers: `shift_const` and `shift`."""

from amaranth.hdl import Cat, Const, Module, Mux, Value
from amaranth.lib import wiring

from golden.requant import RequantParams, Scheme
from golden.rounding import Rounding
from hw.arith import named, sign_extend
from hw.requant_ports import core_ports


class ShiftCore(wiring.Component):
    """`clamp(round(acc / 2**shift))`, combinational.

    Of the shifted word only the bits of the result and the guard bit below them are ever needed, so the shifter narrows
    as it goes: after a stage that leaves shifts of less than `step` open, `step - 1` bits more than the result stay.
    The bits that a stage drops above must all repeat the sign, or the result saturates; that test takes the place of a
    full-width comparison. The rounding increment comes last, on the width of the result.

    Parameters
    ----------
    params
        A `RequantParams` of scheme `shift` or `shift_const`.

    Members
    -------
    acc : In(signed(acc_width))
    params : In(layout), `shift` only
        `shift`, as many bits as it takes to count to `acc_width - 1`; every value is exact, larger ones too.
    data : Out(Shape(out_width, out_signed))
        Valid in the same cycle.
    """

    LATENCY = 0

    def __init__(self, params: RequantParams):
        self.requant = params
        super().__init__(core_ports(params))

    def elaborate(self, platform):
        m = Module()
        params, sign = self.requant, self.acc[-1]
        magnitude = params.out_width - (1 if params.out_signed else 0)
        zero_is_least = params.relu or not params.out_signed
        # Below zero the result is zero in one case and needs its own sign, one bit more, in the other.
        width = magnitude if zero_is_least else magnitude + 1

        if params.scheme is Scheme.SHIFT_CONST:
            word, sticky, lost = _window_const(self.acc, params.shift, width)
        else:
            word, sticky, lost = _window(m, self.acc, self.params.shift, width)
        guard, value = word[0], word[1:]
        increment = {
            Rounding.FLOOR: Const(0, 1),
            Rounding.HALF_UP: guard,
            Rounding.HALF_AWAY: guard & (sticky | ~sign),
            Rounding.HALF_EVEN: guard & (sticky | value[0]),
        }[params.rounding]
        rounded = named(m, value + increment, "rounded")

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


def _window(m: Module, acc: Value, shift: Value, width: int) -> tuple[Value, Value, Value]:
    """The guard bit and `width` bits above it of `acc >> shift`; whether a bit below is set; whether one above is lost.

    Five two-way stages were smaller than four-way ones on every library tried: `docs/requantizers.md`.
    """
    sign = acc[-1]
    word: Value = Cat(Const(0, 1), acc[:-1])
    sticky: Value = Const(0, 1)
    lost: Value = Const(0, 1)
    for stage in reversed(range(len(shift))):
        step, taken = 1 << stage, shift[stage]
        kept = width + step
        if len(word) > kept:
            dropped = word[kept:]
            lost |= ~taken & (dropped ^ sign.replicate(len(dropped))).any()
        sticky |= taken & word[:step].any()
        wide = Cat(word, sign.replicate(max(0, kept + step - len(word))))
        word = named(m, Mux(taken, wide[step:][:kept], wide[:kept]), f"word_{stage}")
    return word, sticky, lost


def _window_const(acc: Value, shift: int, width: int) -> tuple[Value, Value, Value]:
    """As `_window`, for a shift known at generation."""
    word = sign_extend(Cat(Const(0, 1), acc), max(shift + width + 1, len(acc) + 1))
    dropped = word[shift + width + 1 :]
    return word[shift : shift + width + 1], word[:shift].any(), (dropped ^ acc[-1].replicate(len(dropped))).any()
