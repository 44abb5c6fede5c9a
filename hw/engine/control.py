"""Runs the engine's core as its control register says, and keeps what its status registers show."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from roundel.golden.engine import COUNTERS, ErrorCode
from roundel.hw.engine.core import activity_layout
from roundel.hw.engine.fetch import fault_layout


class State(enum.Enum, shape=2):  # type: ignore[call-arg]
    """Of the core."""

    IDLE = 0  # in reset
    RUN = 1
    STOP = 2  # until the bus owes nothing


class Control(wiring.Component):
    """A run goes from `start` to the end of the program, a fault or a `reset`; then the bus comes to rest.

    Only then `done` or `error` says so.

    While an error stands, `start` does nothing: `reset` or `clear` takes it away. A `start` during a run is an error
    that does not end it, and that gives way to one that does.

    Members
    -------
    start, reset, clear : In(1)
        Bits of the control register.
    fault : In(fault_layout()), finished : In(1), idle : In(1)
        From the core.
    boxes : In(32), boxes_valid : In(1), dropped : In(1)
        From the core.
    activity : In(activity_layout())
        From the core.
    run : Out(1), stop : Out(1)
        The core is not in reset; it begins nothing more on the bus.
    busy, done, error, was_dropped : Out(1)
    last_fault : Out(fault_layout()), last_boxes : Out(32), cycles : Out(64)
    one member for each of `COUNTERS` : Out(32)
        What the registers show.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                **dict.fromkeys(("start", "reset", "clear", "finished", "idle"), In(1)),
                "fault": In(fault_layout()),
                "boxes": In(32),
                "boxes_valid": In(1),
                "dropped": In(1),
                "activity": In(activity_layout()),
                **dict.fromkeys(("run", "stop", "busy", "done", "error", "was_dropped"), Out(1)),
                "last_fault": Out(fault_layout()),
                "last_boxes": Out(32),
                "cycles": Out(64),
                **dict.fromkeys(COUNTERS, Out(32)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        state, outcome = Signal(State), Signal(fault_layout())
        complete = Signal()  # the program came to its end
        starting = self.start & (state == State.IDLE) & (~self.error | self.reset)
        m.d.comb += [
            self.run.eq(state != State.IDLE),
            self.stop.eq(state == State.STOP),
            self.busy.eq(state != State.IDLE),
        ]
        with m.If(self.reset | self.clear):
            m.d.sync += [self.done.eq(0), self.error.eq(0), self.last_fault.eq(0)]
        with m.Elif(self.busy & self.start & ~self.error):
            m.d.sync += [self.error.eq(1), self.last_fault.code.eq(ErrorCode.BUSY)]
        with m.If(starting):
            m.d.sync += [state.eq(State.RUN), self.done.eq(0), self.was_dropped.eq(0)]
        with m.If((state == State.RUN) & (self.reset | self.finished | self.fault.code.any())):
            m.d.sync += [state.eq(State.STOP), outcome.eq(self.fault), complete.eq(~self.fault.code.any())]
        with m.If(self.reset):
            m.d.sync += [outcome.eq(0), complete.eq(0)]
        with m.If((state == State.STOP) & self.idle):
            m.d.sync += [state.eq(State.IDLE), self.done.eq(complete & ~self.reset)]
            with m.If(outcome.code.any() & ~self.reset):
                m.d.sync += [self.error.eq(1), self.last_fault.eq(outcome)]
        self._count(m, starting, state == State.RUN)
        return m

    def _count(self, m: Module, starting: Value, running: Value) -> None:
        """Sums of the run; they stand afterwards."""
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
