"""From a finished sum to a byte of the activation memory: one column's requantizer, in short stages."""

from dataclasses import replace
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data

from roundel.golden.engine import EngineParams
from roundel.golden.requant import Scheme
from roundel.hw.engine.ports import layer_layout, result_width
from roundel.hw.lib import Component, In, Out, increment, named, window
from roundel.hw.requant import requant_core, runtime_layout

_WINDOW = 8  # bits of a floor that, with its sign, holds every value that no clamp of 9 bits decides alone
_WORD = 10  # the same of a word of the activation unit, which is a floor


class EngineRequant(Component):
    """`clamp(requantized(acc + (residual << residual_shift)), low, high)` as a byte; docs/engine.md says it exactly.

    That sum is taken modulo `2**acc_width`: programs keep within it. With `activation` in the layer the result is the
    word of the activation unit instead, a floor, saturated.

    Parameters
    ----------
    params
        The engine's.

    Attributes
    ----------
    latency
        Register stages from `acc` to `byte`.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        requant = params.mac.requant
        self.is_shift = params.scheme is Scheme.SHIFT
        self.core: Any = None
        self.latency = 3
        if not self.is_shift:
            self.core = requant_core(replace(requant, pipeline=True))
            self.latency = self.core.LATENCY + 2
        total = signed(requant.acc_width)
        super().__init__(
            enable=In(self.latency, "Clock enables of the register stages, the first one's in bit 0."),
            acc=In(total, "The finished sum."),
            residual=In(signed(8), "The residual, beside `acc`. Only scheme `shift` uses it."),
            residual_shift=In(5, "Left shift of the residual, beside `acc`. Only scheme `shift` uses it."),
            runtime=In(runtime_layout(requant), "The column's run-time parameters, beside `acc`."),
            layer=In(layer_layout(params), "The layer."),
            byte=Out(result_width(params), "The result, registered; a byte is in the lowest bits."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        low, high = self.layer.low, self.layer.high
        if self.is_shift:
            floor, up, lost, negative = self._shift(m)
            value = named(m, floor + up, "rounded")
            bounds = [(lost, Mux(negative, low, high)), (value > high, high), (value < low, low)]
        else:
            value = self._multiply(m)
            bounds = [(value > high, high), (value < low, low)]
        bits = Signal(8)
        for place, (beyond, bound) in enumerate(bounds):
            with m.Elif(beyond) if place else m.If(beyond):
                m.d.comb += bits.eq(bound[:8])
        with m.Else():
            m.d.comb += bits.eq(value[:8])
        byte = Signal.like(self.byte, reset_less=True)
        result: Value = Cat(bits[:7], bits[7] ^ self.layer.flip_target)
        if self.params.activation is not None:
            kept = Mux(lost, ~negative.replicate(_WORD), floor[:_WORD])
            result = Mux(self.layer.activation, Cat(kept, negative), result)
        with m.If(self.enable[-1]):
            m.d.sync += byte.eq(result)
        m.d.comb += self.byte.eq(byte)
        return m

    def _multiply(self, m: Module) -> Value:
        """Use the scheme's own core and a register behind it; it saturates by itself."""
        m.submodules.core = core = self.core
        m.d.comb += [core.acc.eq(self.acc), core.params.eq(self.runtime), core.en.eq(self.enable[:-2].any())]
        value = Signal.like(core.data, reset_less=True)
        with m.If(self.enable[-2]):
            m.d.sync += value.eq(core.data)
        return value

    def _shift(self, m: Module) -> tuple[Value, Value, Value, Value]:
        """Residual; shift. Returns the floor, whether it rounds up, whether it is lost, and the sign.

        What needs more bits than the window has is `lost`, and beyond every clamp.
        """
        width, kept = self.params.mac.acc_width, _WINDOW if self.params.activation is None else _WORD
        total = Signal(signed(width), reset_less=True)
        amounts = Signal(data.ArrayLayout(self._amount, 2), reset_less=True)  # of sums from 0 up, and below
        residual = Mux(self.layer.has_residual, self.residual << self.residual_shift, 0)
        with m.If(self.enable[0]):
            m.d.sync += [total.eq(self.acc + residual), amounts[0].eq(self.runtime.shift)]
            m.d.sync += amounts[1].eq(self._leaking())

        sign = total[-1]
        amount = named(m, Mux(sign, amounts[1], amounts[0]), "amount")
        shifted = window(m, Cat(Const(0, 1), total[:-1]), sign, amount, kept)
        word, sticky = Signal(kept + 1, reset_less=True), Signal(reset_less=True)
        lost, negative = Signal(reset_less=True), Signal(reset_less=True)
        with m.If(self.enable[1]):
            m.d.sync += [Cat(word, sticky, lost).eq(Cat(*shifted)), negative.eq(sign)]
        up = increment(self.params.rounding, word, sticky, negative)
        return Cat(word[1:], negative).as_signed(), up, lost, negative

    @property
    def _amount(self) -> Shape:
        """Of a shift: all distances that differ in what they leave of a sum."""
        return unsigned(max(len(self.runtime.shift), (self.params.mac.acc_width + 1).bit_length()))

    def _leaking(self) -> Value:
        """Return the shift of negative sums, saturated."""
        bits = self._amount.width
        amount = self.runtime.shift + self.layer.leak
        beyond = amount[bits:]
        return amount[:bits] | (beyond.any().replicate(bits) if len(beyond) else 0)
