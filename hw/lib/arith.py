"""Small combinational helpers that several blocks share."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring


def named(m: Module, value: Value, name: str) -> Signal:
    """Return a wire that carries `value`: expressions used twice get a name in the Verilog and are built once."""
    wire = Signal(value.shape(), name=name)
    m.d.comb += wire.eq(value)
    return wire


def unreset(m: Module, port: Value, name: str) -> Signal:
    """Return a register without reset that drives a port, for what is set before it counts."""
    register = Signal.like(port, name=name, reset_less=True)
    m.d.comb += port.eq(register)
    return register


def sign_extend(bits: Value, width: int) -> Value:
    """`bits` as an unsigned vector of `width` bits, the missing ones copies of the top bit."""
    return Cat(bits, bits[-1].replicate(max(0, width - len(bits))))[:width]


def select(choices: list[Value], index: Value) -> Value:
    """`choices[index]` as a balanced tree of two-way multiplexers, which a mapper can pair to four-way ones."""
    if len(choices) == 1:
        return choices[0]
    bit = (len(choices) - 1).bit_length() - 1
    return Mux(index[bit], select(choices[1 << bit :], index), select(choices[: 1 << bit], index))


def gated(width: int, *choices: tuple[Value, Value]) -> Value:
    """Return the value whose condition holds, extended to `width` bits; 0 if none does. At most one may."""
    total: Value = Const(0, width)
    for condition, value in choices:
        extended = Value.cast(value) if len(value) >= width or not value.shape().signed else sign_extend(value, width)
        total |= extended[:width] & condition.replicate(min(width, len(extended)))
    return total


def first_set(bits: Value, *, highest: bool = False) -> tuple[Value, Value]:
    """Return the number of the lowest bit that is set, or of the highest one, and whether one is; a balanced tree.

    The number of no bit is a don't-care. That of a single bit is 0, of one bit.
    """
    if len(bits) == 1:
        return Const(0), bits[0]
    half = 1 << (len(bits) - 1).bit_length() - 1
    (low, low_any), (high, high_any) = (first_set(part, highest=highest) for part in (bits[:half], bits[half:]))
    upper = high_any if highest else ~low_any
    number = upper if half == 1 else Cat(Mux(upper, high, low)[: half.bit_length() - 1], upper)
    return number, low_any | high_any


def without_first(m: Module, bits: Value, name: str, *, highest: bool = False) -> Value:
    """Return the bits without the lowest one that is set, or the highest one: a prefix tree, no deeper than needed."""
    ordered = bits[::-1] if highest else bits
    seen, step = ordered, 1  # whether a bit is set up to this one
    while step < len(bits):
        ends = [seen[place // step * step - 1] if place // step & 1 else Const(0, 1) for place in range(len(bits))]
        seen, step = named(m, seen | Cat(ends), f"{name}_{step}"), 2 * step
    rest = ordered & Cat(Const(0, 1), seen[:-1])
    return rest[::-1] if highest else rest


def bit_count(m: Module, bits: Value, name: str) -> Value:
    """How many bits are set: a tree of adders."""
    if len(bits) < 3:
        return bits if len(bits) == 1 else bits[0] + bits[1]
    half = len(bits) // 2
    low, high = (bit_count(m, part, f"{name}_{end}") for part, end in ((bits[:half], "low"), (bits[half:], "high")))
    return named(m, low + high, f"bits_{name}")


def multiple(value: Value, factor: int) -> Value:
    """`factor * value`, for a constant from 0, of as few shifted terms as can be (signed digits, no two neighbours).

    Spelled out, as synthesis for an FPGA would spend a multiplier on it.
    """
    terms: list[tuple[int, bool]] = []  # shift, and whether it is subtracted
    shift = 0
    while factor:
        if factor & 1:
            negative = factor & 3 == 3
            terms.append((shift, negative))
            factor += 1 if negative else -1
        factor, shift = factor >> 1, shift + 1
    total: Value = Const(0)
    for shift, negative in reversed(terms):  # the largest is never subtracted
        total = total - (value << shift) if negative else total + (value << shift)
    return total


def cut(m: Module, core: wiring.Component, *values: Value) -> list[Value]:
    """Pass `values` through one register stage of a pipelined `core`, enabled by its `en`; as they are otherwise."""
    if not core.requant.pipeline:
        return list(values)
    registers = [Signal.like(Value.cast(value), reset_less=True) for value in values]
    with m.If(core.en):
        m.d.sync += [register.eq(value) for register, value in zip(registers, values, strict=True)]
    return list(registers)
