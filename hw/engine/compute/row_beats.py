"""The rows of a step, and the beats of a row."""

from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import data, stream

from roundel.golden.engine import EngineParams, Opcode
from roundel.hw.engine.compute.tile_steps import BORDER, begin_layout, marks, others_layout
from roundel.hw.engine.ports import descriptor_layout, words_of
from roundel.hw.lib import Component, In, Out


def row_layout(params: EngineParams) -> data.StructLayout:
    """Return a row's first beat, its positions less one, whether it is the first of its step, and `marks`."""
    places = {"address": range(params.memory), "byte": BORDER, "row": BORDER, "w": range(params.depth), "top": 1}
    return data.StructLayout(places | others_layout(params) | marks(params))


def point_layout(params: EngineParams) -> data.StructLayout:
    """Where a beat's lanes are (`near`: see `feed_layout`), whether its row is in the map, what the array is told.

    Where beats may have several words also which there are behind the first, and which of their rows are in the map.
    """
    position, others = Shape.cast(range(params.depth)), others_layout(params)
    places = {"address": range(params.memory), "near": 1, "byte": BORDER, "inside": 1, "position": position}
    places |= others | {f"{name}_inside": bits for name, bits in others.items()}
    return data.StructLayout(places | {"compute": 1, "fresh": 1} | marks(params))


class FeedRows(Component):
    """Makes rows of steps. One a cycle, the first one of a step a cycle after it, without a gap between steps.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            descriptor=In(descriptor_layout(Opcode.COMPUTE), "The descriptor of the layer."),
            begins=In(stream.Signature(begin_layout(params)), "Steps, each with its first beat."),
            rows=Out(stream.Signature(row_layout(params)), "Rows of the steps."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        d, begin, row = self.descriptor, self.begins.p, self.rows.p
        left, bottom = Signal.like(begin.h), Signal()  # rows behind this one; there is none
        twice = Signal()  # the next row is this one again
        take = Signal()
        m.d.comb += [take.eq(~self.rows.valid | self.rows.ready & bottom), self.begins.ready.eq(take)]
        with m.If(take):
            m.d.sync += [self.rows.valid.eq(self.begins.valid), row.top.eq(1), twice.eq(d.upsample)]
            names = ("address", "byte", "row", "w", *others_layout(self.params), *marks(self.params))
            m.d.sync += [row[name].eq(begin[name]) for name in names]
            m.d.sync += [left.eq(begin.h), bottom.eq(begin.h == 0)]
        with m.Elif(self.rows.ready):
            m.d.sync += [row.top.eq(0), twice.eq(d.upsample & ~twice), left.eq(left - 1), bottom.eq(left == 1)]
            m.d.sync += row.address.eq(row.address + Mux(twice, 0, d.y_step))
            m.d.sync += row.row.eq(row.row + Mux(twice, 0, d.y_rows))
        return m


class FeedBeats(Component):
    """Makes beats of rows. One a cycle, the first one of a row a cycle after it, without a gap between rows.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            descriptor=In(descriptor_layout(Opcode.COMPUTE, **words_of(params)), "The descriptor of the layer."),
            rows=In(stream.Signature(row_layout(params)), "Rows of the steps."),
            points=Out(
                stream.Signature(point_layout(params)),
                "Beats of the rows. `fresh` with the first computing beat of a step; all flags are 0 without "
                "`compute`.",
            ),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        d, row, point = self.descriptor, self.rows.p, self.points.p
        left, right = Signal.like(row.w), Signal()  # positions behind the next one that computes; there is none
        idle = Signal(4)  # beats before the next one that computes
        twice, take = Signal(), Signal()  # the next beat is this one again; take the next row
        names = marks(self.params)
        held = Signal(data.StructLayout({"fresh": 1} | names), name="marks")
        m.d.comb += [take.eq(~self.points.valid | self.points.ready & point.compute & right), self.rows.ready.eq(take)]
        m.d.comb += [point[name].eq(Mux(point.compute, held[name], 0)) for name in ("fresh", *names)]
        with m.If(take):
            m.d.sync += [self.points.valid.eq(self.rows.valid), twice.eq(d.upsample), left.eq(row.w)]
            m.d.sync += [right.eq(row.w == 0), idle.eq(d.lead), point.compute.eq(d.lead == 0)]
            m.d.sync += [point.address.eq(row.address), point.near.eq(0), point.byte.eq(row.byte)]
            m.d.sync += point.inside.eq((row.row >= 0) & (row.row < d.rows))
            for number in range(1, self.params.beat_words):
                other = Signal(BORDER, name=f"row_{number}")
                m.d.comb += other.eq(row.row + number * d.word_rows)
                m.d.sync += point.others_inside[number - 1].eq((other >= 0) & (other < d.rows))
            m.d.sync += [point[name].eq(row[name]) for name in others_layout(self.params)]
            m.d.sync += [held[name].eq(row[name]) for name in names]
            m.d.sync += point.position.eq(Mux(row.top, 0, point.position + 1))
            m.d.sync += held.fresh.eq(row.top)
        with m.Elif(self.points.ready):
            m.d.sync += [
                twice.eq(d.upsample & ~twice),
                point.near.eq(~d.x_step[self.params.lanes.bit_length() :].any()),
            ]
            m.d.sync += point.address.eq(point.address + Mux(twice, 0, d.x_step))
            m.d.sync += point.byte.eq(point.byte + Mux(twice, 0, d.x_step))
            with m.If(point.compute):
                m.d.sync += [idle.eq(d.every - 1), point.compute.eq(d.every == 1), held.fresh.eq(0)]
                m.d.sync += [left.eq(left - 1), right.eq(left == 1), point.position.eq(point.position + 1)]
            with m.Else():
                m.d.sync += [idle.eq(idle - 1), point.compute.eq(idle == 1)]
        return m
