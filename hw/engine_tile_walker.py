"""Addresses of the words of a layer's output positions, in the order in which the array gives results."""

from amaranth.hdl import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.engine_params import EngineParams
from golden.program import Opcode
from hw.engine_ports import descriptor_layout, word_address
from hw.engine_walker import Walker


class TileWalker(wiring.Component):
    """Tiles, blocks, rows, positions of a row: docs/engine.md, COMPUTE. One address a cycle, the first after `start`.

    Parameters
    ----------
    params
        The engine.
    prefix
        Of the descriptor's fields for the first word and the steps: `target` or `residual`.

    Members
    -------
    start : In(1)
        Begin, while no address is offered.
    descriptor : In(descriptor_layout(Opcode.COMPUTE))
        Stands still from `start` on.
    addresses : Out(stream.Signature(word_address(params)))
    last : Out(1)
        This address is the layer's last.
    """

    def __init__(self, params: EngineParams, prefix: str):
        self.params, self.prefix = params, prefix
        super().__init__(
            {
                "start": In(1),
                "descriptor": In(descriptor_layout(Opcode.COMPUTE)),
                "addresses": Out(stream.Signature(word_address(params))),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        layer, prefix, side = self.descriptor, self.prefix, self.params.depth.bit_length()
        loops = {"x": side, "y": side, "block": 16, "tile_x": 16, "tile_y": 16}
        m.submodules.walker = walker = Walker(address=len(self.addresses.payload), loops=loops)
        counts, steps = walker.counts, walker.steps
        wiring.connect(m, wiring.flipped(self.addresses), walker.addresses)
        m.d.comb += [
            walker.start.eq(self.start),
            walker.base.eq(layer[prefix]),
            counts.x.eq(Mux(walker.upcoming.tile_x, layer.last_w, layer.tile_w)),
            counts.y.eq(Mux(walker.upcoming.tile_y, layer.last_h, layer.tile_h)),
            counts.block.eq(layer.blocks),
            counts.tile_x.eq(layer.tiles_x),
            counts.tile_y.eq(layer.tiles_y),
            steps.x.eq(1),
            steps.y.eq(layer[f"{prefix}_row"]),
            steps.block.eq(layer[f"{prefix}_plane"]),
            steps.tile_x.eq(layer.tile_w),
            steps.tile_y.eq(layer[f"{prefix}_tile"]),
            self.last.eq(walker.last),
        ]
        return m
