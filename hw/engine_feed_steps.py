"""The steps of a COMPUTE descriptor's tiles: where each begins, and what the array is told of it."""

from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from golden.engine_params import EngineParams
from golden.program import Opcode
from hw.engine_feed_tiles import BORDER, tile_layout
from hw.engine_ports import descriptor_layout, step_layout

MARKS = ("first", "last", "final")
"""What holds for all computing beats of a step: of its output block the first, the last; of its tile the very last."""


def begin_layout(params: EngineParams) -> data.StructLayout:
    """A step's first beat, the size of its tile less one in both directions, and `MARKS`."""
    size = Shape.cast(range(params.depth))
    places = {"address": range(params.memory), "byte": BORDER, "row": BORDER, "w": size, "h": size}
    return data.StructLayout(places | dict.fromkeys(MARKS, 1))


class FeedSteps(wiring.Component):
    """Joins tiles and steps, as many of these as the tile's blocks have. One step a cycle, seen a cycle later.

    Parameters
    ----------
    params
        See `golden.engine_params.EngineParams`.

    Members
    -------
    start : In(1), descriptor : In(descriptor_layout(Opcode.COMPUTE))
        As those of `FeedTiles`.
    tiles : In(stream.Signature(tile_layout(params)))
    steps : In(stream.Signature(step_layout()))
    begins : Out(stream.Signature(begin_layout(params)))
    """

    def __init__(self, params: EngineParams):
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(descriptor_layout(Opcode.COMPUTE)),
                "tiles": In(stream.Signature(tile_layout(params))),
                "steps": In(stream.Signature(step_layout())),
                "begins": Out(stream.Signature(begin_layout(params))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        d, tile, step, begin = self.descriptor, self.tiles.p, self.steps.p, self.begins.p
        blocks, last_block, fresh = Signal(16), Signal(), Signal()  # blocks left in the tile, this one included
        room, take, final = Signal(), Signal(), Signal()
        m.d.comb += [
            room.eq(~self.begins.valid | self.begins.ready),
            take.eq(self.tiles.valid & self.steps.valid & room),
            final.eq(step.last[0] & last_block),
            self.steps.ready.eq(self.tiles.valid & room),
            self.tiles.ready.eq(self.steps.valid & room & final),
        ]
        with m.If(self.start | take & final):
            m.d.sync += [blocks.eq(d.blocks), last_block.eq(d.blocks == 1), fresh.eq(1)]
        with m.Elif(take):
            m.d.sync += fresh.eq(step.last[0])
            with m.If(step.last[0]):
                m.d.sync += [blocks.eq(blocks - 1), last_block.eq(blocks == 2)]
        with m.If(take):
            m.d.sync += [
                begin.address.eq(tile.address + step.offset),
                begin.byte.eq(tile.byte + step.dx),
                begin.row.eq(tile.row + step.dy),
                begin.w.eq(Mux(tile.right, d.last_w, d.tile_w) - 1),
                begin.h.eq(Mux(tile.lower, d.last_h, d.tile_h) - 1),
                begin.first.eq(fresh),
                begin.last.eq(step.last[0]),
                begin.final.eq(final),
            ]
        with m.If(room):
            m.d.sync += self.begins.valid.eq(take)
        return m
