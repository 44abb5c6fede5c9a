"""One lane of the activation unit: a word to a byte, between two knots of the layer's table."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data

from roundel.golden.activation import CONTROL, ActivationParams
from roundel.hw.lib import Component, In, Out, Port, named, select


def lane_ports(params: ActivationParams) -> dict[str, Port]:
    """Return the ports of a lane: the word, what goes with it, the layer's table, the result."""
    ports = {"word": In(signed(params.in_width), "The word.")}
    if params.residual:
        ports["residual"] = In(signed(params.RESIDUAL_WIDTH), "Added before anything is rounded.")
    if params.slopes:
        ports["slope"] = In(params.slope_width, "Of the column: multiplier, sign. Used by tables of fold `slope`.")
    ports["control"] = In(data.StructLayout(dict(CONTROL)), "The control word of the layer's table.")
    # No array: Yosys' ABC flow confuses bit 3 of a vector `knots` with a field that Amaranth calls `knots[3]`.
    ports["knots"] = In(params.knot_width * (params.segments + 1), "The knots of the table, the first one lowest.")
    if params.pipeline:
        ports["en"] = In(1, "Clock enable of all registers.")
    return ports | {"result": Out(params.OUT_WIDTH, "The result, `LATENCY` cycles later.")}


class ActivationLane(Component):
    """`clamp(round(curve(word) + linear part + residual))`; docs/activations.md has the formulas.

    Combinational; with `params.pipeline` registers stand before the multiplication, and `LATENCY` is 1. The table must
    hold still from a word to its result.

    Parameters
    ----------
    params
        The unit's.
    """

    def __init__(self, params: ActivationParams):
        self.params = params
        self.LATENCY = 1 if params.pipeline else 0
        super().__init__(**lane_ports(params))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params, control = self.params, self.control
        negative = named(m, self.word[-1], "negative")
        position = self._position(m, negative)
        base, odd, steps = self._ends(m, position)
        even, turned = base, negative & control.odd
        if params.slopes:
            sloped, slope = control.sloped, self.slope
            turned |= negative & sloped & ~slope[-1]
            # A table of slopes has no knots but zeros.
            odd = named(m, odd | position & sloped.replicate(len(position)), "odd")
            leading = (sloped & slope[params.step_bits]).replicate(len(position))
            base = named(m, even | position & leading, "base")
            steps = named(m, Mux(sloped, slope[: params.step_bits], steps), "steps_or_slope")
        step = named(m, (odd - even)[: params.knot_width - 1].as_signed(), "step")
        values = {"base": base, "step": step, "steps": steps, "turned": named(m, turned, "turned")}
        values |= {name: getattr(self, name).as_unsigned() for name in ("word", "residual") if hasattr(self, name)}
        self._sum(m, self._registered(m, values) if params.pipeline else values)
        return m

    def _registered(self, m: Module, values: dict[str, Value]) -> dict[str, Value]:
        """Return values as they were a cycle ago, where the registers are enabled."""
        registers = {name: Signal.like(value, name=f"{name}_1", reset_less=True) for name, value in values.items()}
        with m.If(self.en):
            m.d.sync += [register.eq(values[name]) for name, register in registers.items()]
        return dict(registers)

    def _position(self, m: Module, negative: Value) -> Value:
        """Return where on the curve the word lies: segment and place within, saturated."""
        params = self.params
        kept = params.segment_bits + params.step_bits
        magnitude = self.word[:-1] ^ negative.replicate(params.in_width - 1)
        word: Value = Cat(Const(0, params.step_bits - 1), Const(1, 1), magnitude)
        core = self.control.core[: params.greatest_core.bit_length()]
        lost: Value = Const(0, 1)
        for stage in reversed(range(len(core))):
            step = 1 << stage
            width = kept + step - 1
            if len(word) > width:
                lost |= ~core[stage] & word[width:].any()
            word = named(m, Mux(core[stage], word[step:], word)[:width], f"word_{stage}")
        half = kept - 1
        flat = self.control.flat
        beyond = named(m, lost | flat & word[half], "beyond")
        used = named(m, negative | ~self.control.sided, "used")
        low = (word[:half] | beyond.replicate(half)) ^ (flat & negative).replicate(half)
        top = Mux(flat, ~negative, word[half] | beyond)
        return named(m, Cat(low, top) & used.replicate(kept), "position")

    def _ends(self, m: Module, position: Value) -> tuple[Value, Value, Value]:
        """Return the even and the odd knot of the segment, and the steps from the even one."""
        params = self.params
        segment = position[params.step_bits :]
        odd = segment[0]
        number = named(m, segment[1:] + odd, "even_number")
        knots = [self.knots.word_select(index, params.knot_width) for index in range(params.segments + 1)]
        even_knot = named(m, select(knots[::2], number), "even_knot")
        odd_knot = named(m, select(knots[1::2], segment[1:]), "odd_knot")
        steps = named(m, position[: params.step_bits] ^ odd.replicate(params.step_bits), "steps")
        return even_knot, odd_knot, steps

    def _sum(self, m: Module, values: dict[str, Value]) -> None:
        """Add everything, round once, clamp.

        A result whose sign turns is the complement of the rounded sum of the curve and the complement of the residual,
        less one half: no operand is negated.
        """
        params, control = self.params, self.control
        bits, half = params.step_bits, params.step_bits + params.fraction - 1
        word, turned, product = values["word"], values["turned"], values["step"] * values["steps"]
        linear = Cat(Const(1, 1), word[:-1]) & (control.linear & ~word[-1]).replicate(params.in_width)
        linear = named(m, Mux(control.linear_coarse, linear << 2, linear), "linear_part")
        total = (
            Cat(Const(0, bits), values["base"]).as_signed()
            + named(m, product, "product")
            + Cat(Const(0, bits - 1), linear)
        )
        if params.residual:
            residual = (values["residual"] ^ turned.replicate(params.RESIDUAL_WIDTH)).as_signed()
            filled = Cat(turned.replicate(bits + 3), residual).as_signed() << control.residual_shift
            total += filled[3:].as_signed() + Cat(Const(0, half), Const(1, 1), turned).as_signed()
        else:
            total += Cat(turned.replicate(half), ~turned, turned).as_signed()
        value = named(m, total[: params.total_width], "total")[half + 1 :]
        width = params.OUT_WIDTH - 1
        outside = named(m, (value[width:-1] ^ value[-1].replicate(len(value) - width - 1)).any(), "outside")
        low = Mux(outside, ~value[-1].replicate(width), value[:width])
        # A single operation, so that the result is a single port of the Verilog module.
        flips = Cat(turned.replicate(width), turned ^ control.unsigned)
        m.d.comb += self.result.eq(Cat(low, value[-1]) ^ flips)
