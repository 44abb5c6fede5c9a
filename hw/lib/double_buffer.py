"""Parameters that load while their predecessors are still in use: weights, biases, requantizer parameters."""

from typing import Any

from amaranth.hdl import Module, ShapeLike, Signal

from roundel.hw.lib.ports import Component, In, Out


class DoubleBuffer(Component):
    """A shadow register and the active one behind it.

    Both are plain registers with an enable, so that a synthesizer finds clock gates (or clock enables) for them.

    Parameters
    ----------
    shape
        Of what is held.
    """

    def __init__(self, shape: ShapeLike):
        super().__init__(
            beat=In(shape, "The value that `load` takes."),
            load=In(1, "The shadow takes `beat`."),
            swap=In(1, "The active register takes the shadow's old value, in the same cycle as a `load` if need be."),
            active=Out(shape, "The active register."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        shadow = Signal(self.beat.shape(), reset_less=True)
        active = Signal(self.beat.shape(), reset_less=True)
        with m.If(self.load):
            m.d.sync += shadow.eq(self.beat)
        with m.If(self.swap):
            m.d.sync += active.eq(shadow)
        m.d.comb += self.active.eq(active)
        return m


class BlockLoader(Component):
    """Counts the beats of a stream into the shadows of all columns, column 0 first.

    Parameters
    ----------
    columns
        Beats that fill a block.
    """

    def __init__(self, columns: int):
        super().__init__(
            valid=In(1, "The stream offers a beat."),
            ready=Out(1, "The beat is taken."),
            load=Out(columns, "A one for the column whose shadow takes the beat in this cycle."),
            full=Out(1, "A whole block waits in the shadows."),
            take=In(
                1,
                "The shadows are copied in this cycle, only while `full`; the next block's first beat may come in the "
                "same one.",
            ),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        columns = len(self.load)
        index = Signal(range(max(columns, 2)))
        last = Signal()
        m.d.comb += [
            self.ready.eq(~self.full | self.take),
            last.eq(index == columns - 1),
            self.load.eq((self.valid & self.ready) << index),
        ]
        with m.If(self.take):
            m.d.sync += self.full.eq(0)
        with m.If(self.valid & self.ready):
            m.d.sync += index.eq(index + 1)
            with m.If(last):
                m.d.sync += [index.eq(0), self.full.eq(1)]
        return m
