"""Both ends of streams in Amaranth's simulator: what is offered and taken cycle by cycle, with pauses."""

from collections.abc import Callable, Iterable
from typing import Any

from amaranth.hdl import ValueLike
from amaranth.lib import stream, wiring
from amaranth.sim import Simulator


class Source:
    """Offers `payloads` one after the other; `times` are the cycles in which they were taken."""

    def __init__(self, port: stream.Interface, payloads: Iterable[Any], flows: Callable[[], bool]):
        self.port, self.payloads, self.flows = port, list(payloads), flows
        self.times: list[int] = []
        self.offering = False

    def drive(self, ctx: Any) -> None:
        if not self.offering and self.payloads and self.flows():
            ctx.set(self.port.payload, self.payloads[0])
            self.offering = True
        ctx.set(self.port.valid, self.offering)

    def note(self, ctx: Any, cycle: int) -> None:
        if self.offering and ctx.get(self.port.ready):
            self.times.append(cycle)
            self.payloads.pop(0)
            self.offering = False


class Sink:
    """Takes what comes: `taken` has the payloads, as numbers, and `times` their cycles."""

    def __init__(self, port: stream.Interface, flows: Callable[[], bool]):
        self.port, self.flows = port, flows
        self.taken: list[int] = []
        self.times: list[int] = []
        self.held: int | None = None

    def drive(self, ctx: Any) -> None:
        self.ready = self.flows()
        ctx.set(self.port.ready, self.ready)

    def note(self, ctx: Any, cycle: int) -> None:
        offered = ctx.get(bits(self.port.payload)) if ctx.get(self.port.valid) else None
        assert self.held in (None, offered), "what was offered changed"
        self.held = None if self.ready else offered
        if self.ready and offered is not None:
            self.taken.append(offered)
            self.times.append(cycle)


def bits(payload: Any) -> ValueLike:
    """A payload as one number."""
    return payload.as_value() if hasattr(payload, "as_value") else payload


def simulate(unit: wiring.Component, ends: list[Source | Sink], each: Callable[[Any, int], bool]) -> None:
    """Run until `each`, which is called in every cycle with all inputs set, says that it is over."""

    async def process(ctx: Any) -> None:
        for cycle in range(100_000):
            for end in ends:
                end.drive(ctx)
            over = each(ctx, cycle)
            for end in ends:
                end.note(ctx, cycle)
            if over:
                return
            await ctx.tick()
        raise AssertionError("it hangs")

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(process)
    simulator.run()
