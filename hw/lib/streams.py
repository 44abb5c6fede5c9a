"""Chains of registers that carry values beside a pipeline."""

from typing import Any

from amaranth.hdl import Module, ShapeLike, Signal, Value
from amaranth.lib import stream

from roundel.hw.lib.ports import Component, In, Out


def delay(m: Module, value: Value, cycles: int, name: str, *, reset: bool = False) -> Value:
    """`value` as it was `cycles` ago; with `reset`, 0 after a reset."""
    for stage in range(cycles):
        register = Signal.like(value, name=f"{name}_d{stage + 1}", reset_less=not reset)
        m.d.sync += register.eq(value)
        value = register
    return value


class StreamRegister(Component):
    """What goes in comes out a cycle later, one payload a cycle.

    `ready` is a register too, so it is late by a cycle: what is taken while the output waits is kept aside.

    Parameters
    ----------
    shape
        Of the payload.
    """

    LATENCY = 1

    def __init__(self, shape: ShapeLike):
        super().__init__(
            inputs=In(stream.Signature(shape), "Payloads to delay."),
            outputs=Out(stream.Signature(shape), "The payloads, a cycle later."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        aside, kept = Signal.like(self.inputs.payload, name="aside", reset_less=True), Signal()
        m.d.comb += self.inputs.ready.eq(~kept)
        with m.If(~kept):
            m.d.sync += aside.eq(self.inputs.payload)
        with m.If(~self.outputs.valid | self.outputs.ready):
            with m.If(kept):
                m.d.sync += self.outputs.payload.eq(aside)
            with m.Else():
                m.d.sync += self.outputs.payload.eq(self.inputs.payload)
            m.d.sync += [self.outputs.valid.eq(kept | self.inputs.valid), kept.eq(0)]
        with m.Elif(self.inputs.valid):
            m.d.sync += kept.eq(1)
        return m
