"""Chains of registers that carry values beside a pipeline."""

from amaranth.hdl import Module, Signal, Value


def delay(m: Module, value: Value, cycles: int, name: str, *, reset: bool = False) -> Value:
    """`value` as it was `cycles` ago; with `reset`, 0 after a reset."""
    for stage in range(cycles):
        register = Signal.like(value, name=f"{name}_d{stage + 1}", reset_less=not reset)
        m.d.sync += register.eq(value)
        value = register
    return value
