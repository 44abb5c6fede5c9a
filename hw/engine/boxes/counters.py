"""Where the scan of a detector head stands: location and prior, and the first channel of a prior."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal

from roundel.golden.engine import EngineParams, Opcode
from roundel.hw.engine.boxes.cursor import CHANNEL, plane
from roundel.hw.engine.ports import descriptor_layout, word_address
from roundel.hw.lib import Component, In, Out, named, unreset

STEP = 9
"""Bits of the channels of a prior that begin with a number of channels: 257 logits, 4 x 32 bins."""
PRIOR = 4


class Locations(Component):
    """Counts priors, columns and rows.

    Parameters
    ----------
    params
        The engine's.
    """

    def __init__(self, params: EngineParams):
        grid = descriptor_layout(Opcode.BOXES, heads=True)
        super().__init__(
            start=In(1, "To the first prior of the first location."),
            step=In(1, "To the next prior."),
            descriptor=In(grid, "The descriptor of the scale."),
            prior=Out(PRIOR, "Number of the prior."),
            column=Out(grid["width"].shape, "Of the location."),
            row=Out(grid["height"].shape, "Of the location."),
            location=Out(word_address(params), "Number of the location, modulo the words of the memory."),
            ends=Out(1, "This prior is the location's last."),
            last=Out(1, "This prior is the last of all."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        head = self.descriptor
        prior, column, row, location = (
            unreset(m, getattr(self, name), f"{name}_now") for name in ("prior", "column", "row", "location")
        )
        following = named(m, (column + 1)[: len(column) + 1], "following_column")
        line = named(m, following == head.width, "line_ends")
        below = named(m, (row + line)[: len(row) + 1], "following_row")
        m.d.comb += [
            self.ends.eq(prior == head.priors),
            self.last.eq(self.ends & line & (below == head.height)),
        ]
        with m.If(self.step):
            m.d.sync += prior.eq(Mux(self.ends, 0, prior + 1))
        with m.If(self.step & self.ends):
            m.d.sync += [location.eq(location + 1), column.eq(Mux(line, 0, following)), row.eq(below)]
        with m.If(self.start):
            m.d.sync += [prior.eq(0), column.eq(0), row.eq(0), location.eq(0)]
        return m


class Channels(Component):
    """The first channel of a prior, a multiple that is added up, a prior a cycle.

    Parameters
    ----------
    params
        The engine's.
    """

    def __init__(self, params: EngineParams):
        self.bits = params.lanes.bit_length() - 1
        super().__init__(
            begin=In(1, "Begin with `first`."),
            first=In(CHANNEL, "What is added to the multiple."),
            step=In(STEP, "Channels of a prior; it stands still until the next `begin`."),
            count=In(PRIOR, "How many times; it stands still until the next `begin`."),
            move=In(1, "Add `amount`, when there."),
            amount=In(CHANNEL, "What `move` adds."),
            size=In(STEP, "Channels from there on."),
            there=Out(1, "`channel` and `end` are those of the last `begin` and `move`."),
            channel=Out(CHANNEL, "The channel."),
            end=Out(plane(params), "Plane of the last of `size` channels, unless `move` is set."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        number, channel = Signal(PRIOR, reset_less=True), unreset(m, self.channel, "channel_now")
        added = Mux(self.there, self.size - 1, self.step)
        following = named(m, (channel + Mux(self.move, self.amount, added))[:CHANNEL], "following")
        m.d.comb += [self.there.eq(number == self.count), self.end.eq(following >> self.bits)]
        with m.If(self.begin):
            m.d.sync += [number.eq(0), channel.eq(self.first)]
        with m.Elif(self.move | ~self.there):
            m.d.sync += [channel.eq(following), number.eq(number + (~self.there))]
        return m
