"""Runs the engine's core as its control register says, and keeps what its status registers show."""

from typing import Any

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import enum

from roundel.golden.engine import COUNTERS, REGISTERS, ErrorCode
from roundel.hw.engine.core import activity_layout
from roundel.hw.engine.fetch import fault_layout
from roundel.hw.lib import Component, In, Out


class RunState(enum.Enum, shape=2):  # type: ignore[call-arg, misc]
    """State of the core."""

    __qualname__ = "State"  # its name in the Verilog

    IDLE = 0  # in reset
    RUN = 1
    STOP = 2  # until the bus owes nothing


class Control(Component):
    """A run goes from `start` to the end of the program, a fault or a `reset`; then the bus comes to rest.

    Only then `done` or `error` says so.

    While an error stands, `start` does nothing: `reset` or `clear` takes it away. A `start` during a run is an error
    that does not end it, and that gives way to one that does.
    """

    def __init__(self) -> None:
        counters = [register for register in REGISTERS if register.name in COUNTERS]
        super().__init__(
            start=In(1, "Bit of the control register: begin a run."),
            reset=In(1, "Bit of the control register: end the run, and take away what it left."),
            clear=In(1, "Bit of the control register: take away `done` and `error`."),
            finished=In(1, "From the core: the program came to its end."),
            idle=In(1, "From the core: the bus owes nothing."),
            fault=In(fault_layout(), "From the core: the first fault."),
            boxes=In(32, "From the core: number of boxes of an image."),
            boxes_valid=In(1, "From the core: `boxes` is to be kept."),
            dropped=In(1, "From the core: a box was dropped."),
            activity=In(activity_layout(), "From the core: state of this cycle."),
            run=Out(1, "The core is not in reset."),
            stop=Out(1, "The core begins nothing more on the bus."),
            busy=Out(1, "For the registers: there is a run."),
            done=Out(1, "For the registers: the run came to its end."),
            error=Out(1, "For the registers: an error stands."),
            was_dropped=Out(1, "For the registers: boxes were dropped since the start."),
            last_fault=Out(fault_layout(), "For the registers: the fault of the error that stands."),
            last_boxes=Out(32, "For the registers: boxes of the last image."),
            cycles=Out(64, "For the registers: cycles of the run."),
            **{register.name: Out(register.width, f"For the registers: {register.meaning}.") for register in counters},
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        state, outcome = Signal(RunState), Signal(fault_layout())
        complete = Signal()  # the program came to its end
        starting = self.start & (state == RunState.IDLE) & (~self.error | self.reset)
        m.d.comb += [
            self.run.eq(state != RunState.IDLE),
            self.stop.eq(state == RunState.STOP),
            self.busy.eq(state != RunState.IDLE),
        ]
        with m.If(self.reset | self.clear):
            m.d.sync += [self.done.eq(0), self.error.eq(0), self.last_fault.eq(0)]
        with m.Elif(self.busy & self.start & ~self.error):
            m.d.sync += [self.error.eq(1), self.last_fault.code.eq(ErrorCode.BUSY)]
        with m.If(starting):
            m.d.sync += [state.eq(RunState.RUN), self.done.eq(0), self.was_dropped.eq(0)]
        with m.If((state == RunState.RUN) & (self.reset | self.finished | self.fault.code.any())):
            m.d.sync += [state.eq(RunState.STOP), outcome.eq(self.fault), complete.eq(~self.fault.code.any())]
        with m.If(self.reset):
            m.d.sync += [outcome.eq(0), complete.eq(0)]
        with m.If((state == RunState.STOP) & self.idle):
            m.d.sync += [state.eq(RunState.IDLE), self.done.eq(complete & ~self.reset)]
            with m.If(outcome.code.any() & ~self.reset):
                m.d.sync += [self.error.eq(1), self.last_fault.eq(outcome)]
        self._count(m, starting, state == RunState.RUN)
        return m

    def _count(self, m: Module, starting: Value, running: Value) -> None:
        """Count the events of the run; sums stand afterwards."""
        flags, counting = Signal(self.activity.flags.shape()), Signal()
        m.d.sync += [flags.eq(self.activity.flags), counting.eq(running)]
        with m.If(running):
            m.d.sync += self.cycles.eq(self.cycles + 1)
        for name in COUNTERS:
            with m.If(counting & flags[name]):
                m.d.sync += getattr(self, name).eq(getattr(self, name) + 1)
        with m.If(self.boxes_valid):
            m.d.sync += self.last_boxes.eq(self.boxes)
        with m.If(self.dropped):
            m.d.sync += self.was_dropped.eq(1)
        with m.If(starting):
            m.d.sync += [self.cycles.eq(0), self.last_boxes.eq(0)]
            m.d.sync += [getattr(self, name).eq(0) for name in COUNTERS]
