"""The tiles of a COMPUTE descriptor, and the steps of each tile."""

from typing import Any

from amaranth.hdl import Module, Mux, Shape, Signal, signed
from amaranth.lib import data, stream

from roundel.golden.engine import EngineParams, Opcode
from roundel.hw.engine.ports import descriptor_layout, scale_layout, step_layout
from roundel.hw.lib import Component, In, Out

BORDER = signed(18)
"""Rows of a map, and bytes of a row, counted from its corner: also outside, where steps of border pixels reach."""


def tile_layout(params: EngineParams) -> data.StructLayout:
    """Where a tile begins in memory and in the map; whether it is in the last column, in the last row, of tiles."""
    address = range(params.memory)
    return data.StructLayout({"address": address, "byte": BORDER, "row": BORDER, "right": 1, "lower": 1})


class TileCounter(Component):
    """Walks all tiles, those of a row of tiles first; from the cycle after `start` on."""

    def __init__(self) -> None:
        super().__init__(
            tiles_x=In(16, "Tiles of a row; they stand still from `start` to the last tile."),
            tiles_y=In(16, "Rows of tiles; they stand still from `start` to the last tile."),
            start=In(1, "Go to the first tile."),
            next=In(1, "Go to the next tile: from the last, all is over."),
            valid=Out(1, "There is a tile."),
            right=Out(1, "The tile is the last of its row."),
            lower=Out(1, "The tile is in the last row."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        x, y = Signal(16), Signal(16)  # tiles left in the row, rows left, this one included
        with m.If(self.start | self.next & self.right):
            m.d.sync += [x.eq(self.tiles_x), self.right.eq(self.tiles_x == 1)]
        with m.Elif(self.next):
            m.d.sync += [x.eq(x - 1), self.right.eq(x == 2)]
        with m.If(self.start):
            m.d.sync += [y.eq(self.tiles_y), self.lower.eq(self.tiles_y == 1), self.valid.eq(1)]
        with m.Elif(self.next & self.right):
            m.d.sync += [y.eq(y - 1), self.lower.eq(y == 2), self.valid.eq(~self.lower)]
        return m


class FeedTiles(Component):
    """Offers tile after tile. One a cycle, the first in the cycle after `start`.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.
    """

    def __init__(self, params: EngineParams):
        super().__init__(
            start=In(1, "Begin with the first tile."),
            descriptor=In(
                descriptor_layout(Opcode.COMPUTE),
                "The descriptor of the layer; it stands still from `start` to the last tile.",
            ),
            tiles=Out(stream.Signature(tile_layout(params)), "The tiles."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        d, tile = self.descriptor, self.tiles.p
        m.submodules.counter = counter = TileCounter()
        m.d.comb += [
            counter.tiles_x.eq(d.tiles_x),
            counter.tiles_y.eq(d.tiles_y),
            counter.start.eq(self.start),
            counter.next.eq(self.tiles.valid & self.tiles.ready),
            self.tiles.valid.eq(counter.valid),
            tile.right.eq(counter.right),
            tile.lower.eq(counter.lower),
        ]
        line = Signal.like(tile.address)  # where this row of tiles begins
        below = Signal.like(tile.address)
        m.d.comb += below.eq(line + d.tile_y_step)
        with m.If(self.start):
            m.d.sync += [line.eq(d.source), tile.address.eq(d.source), tile.byte.eq(0), tile.row.eq(0)]
        with m.Elif(counter.next):
            m.d.sync += [
                tile.address.eq(Mux(counter.right, below, tile.address + d.tile_x_step)),
                tile.byte.eq(Mux(counter.right, 0, tile.byte + d.tile_x_step)),
            ]
            with m.If(counter.right):
                m.d.sync += [line.eq(below), tile.row.eq(tile.row + d.tile_y_rows)]
        return m


def marks(params: EngineParams) -> dict[str, int]:
    """Return what holds for all computing beats of a step, by name, with its bits.

    It is of its output block the first, the last; of its tile the very last; it keeps the weights of the step before;
    its scale.
    """
    return dict.fromkeys(("first", "last", "final", "keep"), 1) | scale_layout(params)


def begin_layout(params: EngineParams) -> data.StructLayout:
    """Return a step's first beat, the size of its tile less one in both directions, and `marks`."""
    size = Shape.cast(range(params.depth))
    places = {"address": range(params.memory), "byte": BORDER, "row": BORDER, "w": size, "h": size}
    return data.StructLayout(places | others_layout(params) | marks(params))


def others_layout(params: EngineParams) -> dict[str, int]:
    """Return `others`, of a step, its rows and its beats, with its bits: which words there are behind the first."""
    return {"others": params.beat_words - 1} if params.beat_words > 1 else {}


class FeedSteps(Component):
    """Joins tiles and steps, as many of these as the tile's blocks have. One step a cycle, seen a cycle later.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            start=In(1, "Begin with the first tile."),
            descriptor=In(
                descriptor_layout(Opcode.COMPUTE),
                "The descriptor of the layer; it stands still from `start` to the last tile.",
            ),
            tiles=In(stream.Signature(tile_layout(params)), "The tiles, from `FeedTiles`."),
            steps=In(stream.Signature(step_layout(params)), "The steps of all blocks of each tile."),
            begins=Out(stream.Signature(begin_layout(params)), "The steps of each tile, with their first beats."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        d, tile, step, begin = self.descriptor, self.tiles.p, self.steps.p, self.begins.p
        blocks, last_block, fresh = Signal(16), Signal(), Signal()  # blocks left in the tile, this one included
        begun = Signal()  # of this tile a step was taken
        room, take, final = Signal(), Signal(), Signal()
        m.d.comb += [
            room.eq(~self.begins.valid | self.begins.ready),
            take.eq(self.tiles.valid & self.steps.valid & room),
            final.eq(step.last & last_block),
            self.steps.ready.eq(self.tiles.valid & room),
            self.tiles.ready.eq(self.steps.valid & room & final),
        ]
        with m.If(self.start | take & final):
            m.d.sync += [blocks.eq(d.blocks), last_block.eq(d.blocks == 1), fresh.eq(1), begun.eq(0)]
        with m.Elif(take):
            m.d.sync += [fresh.eq(step.last), begun.eq(1)]
            with m.If(step.last):
                m.d.sync += [blocks.eq(blocks - 1), last_block.eq(blocks == 2)]
        with m.If(take):
            m.d.sync += [
                begin.address.eq(tile.address + step.offset),
                begin.byte.eq(tile.byte + step.dx),
                begin.row.eq(tile.row + step.dy),
                begin.w.eq(Mux(tile.right, d.last_w, d.tile_w) - 1),
                begin.h.eq(Mux(tile.lower, d.last_h, d.tile_h) - 1),
                begin.first.eq(fresh),
                begin.last.eq(step.last),
                begin.final.eq(final),
                begin.keep.eq(step.keep & begun),
                *(begin[name].eq(step[name]) for name in scale_layout(self.params)),
            ]
            for number in range(1, self.params.beat_words):
                m.d.sync += begin.others[number - 1].eq(step.words >= number)
        with m.If(room):
            m.d.sync += self.begins.valid.eq(take)
        return m
