"""Right shifts of which only a window of the result is needed."""

from amaranth.hdl import Cat, Const, Module, Mux, Value

from roundel.golden.rounding import Rounding
from roundel.hw.lib.arith import named, sign_extend


def window(m: Module, word: Value, sign: Value, shift: Value, width: int) -> tuple[Value, Value, Value]:
    """Return the part of a shifted word that rounding to `width` bits needs.

    The shifter narrows as it goes: after a stage that leaves shifts of less than `step` open, `step - 1` bits more than
    the result stay. Two-way stages were smaller than four-way ones on every library tried: `docs/requantizers.md`.

    Parameters
    ----------
    word
        What to shift; bit 0 is the guard bit of a shift by 0.
    sign
        Stands for all bits above `word`.
    shift
        Every value is exact, those beyond the length of `word` too.
    width
        Bits wanted above the guard bit.

    Returns
    -------
    The guard bit with `width` bits above it; whether a bit below the guard is set; whether a bit above the window
    differs from `sign`, so that the window alone does not say the value.
    """
    sticky: Value = Const(0, 1)
    lost: Value = Const(0, 1)
    for stage in reversed(range(len(shift))):
        step, taken = 1 << stage, shift[stage]
        kept = width + step
        if len(word) > kept:
            lost |= ~taken & _any_differs(word[kept:], sign)
        sticky |= taken & word[:step].any()
        wide = Cat(word, sign.replicate(max(0, kept + step - len(word))))
        word = named(m, Mux(taken, wide[step:][:kept], wide[:kept]), f"word_{stage}")
    return word, sticky, lost


def window_const(acc: Value, shift: int, width: int) -> tuple[Value, Value, Value]:
    """As `window`, for a shift known at generation."""
    word = sign_extend(Cat(Const(0, 1), acc), max(shift + width + 1, len(acc) + 1))
    sticky = word[:shift].any() if shift else Const(0, 1)
    return word[shift:][: width + 1], sticky, _any_differs(word[shift + width + 1 :], acc[-1])


def _any_differs(bits: Value, sign: Value) -> Value:
    """1 when one of `bits` is not `sign`; 0 for no bits (a vector of no bits has no form in Verilog)."""
    return (bits ^ sign.replicate(len(bits))).any() if len(bits) else Const(0, 1)


def increment(rounding: Rounding, word: Value, sticky: Value, sign: Value) -> Value:
    """Whether the bits above the guard bit `word[0]` round up."""
    guard = word[0]
    match rounding:
        case Rounding.FLOOR:
            return Const(0, 1)
        case Rounding.HALF_UP:
            return guard
        case Rounding.HALF_AWAY:
            return guard & (sticky | ~sign)
        case Rounding.HALF_EVEN:
            return guard & (sticky | word[1])
