"""Weights that the network made itself: a map's factors, from the activation memory to the array."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal

from roundel.golden.engine import EngineParams, Opcode
from roundel.hw.decoder import weights_layout
from roundel.hw.engine.compute.tile_steps import TileCounter
from roundel.hw.engine.memory import ActivationMemory
from roundel.hw.engine.ports import read_port, unit_port
from roundel.hw.lib import Component, In, Out, delay


class Gates(Component):
    """Reads a word for every output block of every tile: the factors of its columns.

    They come `ActivationMemory.READ_LATENCY` cycles after the request and cannot wait, so that a word is asked for when
    there is room for it and no other is on its way. `done` comes in the cycle after the last word.

    Parameters
    ----------
    params
        The engine's.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            unit=In(unit_port(Opcode.COMPUTE, gates=True), "The unit's descriptor, one with `has_gate`."),
            memory=Out(read_port(params), "Reads words of the activation memory."),
            room=In(1, "A word would be taken; nobody else gives one."),
            valid=Out(1, "There are factors, which are taken."),
            factors=Out(
                weights_layout(params.decoder),
                "One for each column, in the place of its number; `last` with those of a tile's last block.",
            ),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        layer, request, stages = self.unit.descriptor, self.memory.request, ActivationMemory.READ_LATENCY
        m.submodules.tiles = tiles = TileCounter()
        blocks, last_block = Signal(16), Signal()  # blocks left in the tile, this one included
        taken, flying = Signal(), Signal(stages)
        m.d.sync += flying.eq((flying << 1) | taken)
        m.d.comb += [
            tiles.tiles_x.eq(layer.tiles_x),
            tiles.tiles_y.eq(layer.tiles_y),
            tiles.start.eq(self.unit.start),
            tiles.next.eq(taken & last_block),
            taken.eq(request.valid & request.ready),
            request.valid.eq(tiles.valid & self.room & ~flying.any()),
            self.unit.done.eq(self.unit.busy & ~tiles.valid & ~flying.any()),
        ]
        with m.If(self.unit.start | tiles.next):
            m.d.sync += [request.payload.eq(layer.weights_offset), blocks.eq(layer.blocks)]
            m.d.sync += last_block.eq(layer.blocks == 1)
        with m.Elif(taken):
            m.d.sync += [request.payload.eq(request.payload + layer.weights_bytes), blocks.eq(blocks - 1)]
            m.d.sync += last_block.eq(blocks == 2)
        with m.If(self.unit.start | self.unit.done):
            m.d.sync += self.unit.busy.eq(self.unit.start)

        width, bits = self.params.weight_width, []
        for column in range(self.params.columns):
            byte = self.memory.data.word_select(column, 8)
            bits.append((byte ^ (layer.flip_gate << 7))[:width])
        m.d.comb += [
            self.valid.eq(self.memory.valid),
            Cat(self.factors.weights).eq(Cat(bits)),
            self.factors.last.eq(delay(m, last_block, stages, "asked_last")),
        ]
        return m
