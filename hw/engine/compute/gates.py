"""Weights that the network made itself: a map's factors, from the activation memory to the array, column by column."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data

from roundel.golden.engine import EngineParams, Opcode
from roundel.hw.engine.compute.tile_steps import TileCounter
from roundel.hw.engine.memory import ActivationMemory
from roundel.hw.engine.ports import read_port, unit_port
from roundel.hw.lib import Component, In, Out, delay


def factor_layout(params: EngineParams) -> data.StructLayout:
    """Return a column's factor; `last` with the last column of a tile's last block."""
    return data.StructLayout({"value": params.weight_width, "last": 1})


class Gates(Component):
    """Reads a word for every output block of every tile, and gives its bytes as weights, column 0 first.

    The word is read once for each column, so that nothing holds it: a factor a cycle as long as the memory is free,
    each `ActivationMemory.READ_LATENCY` cycles after its request. As these cannot wait, a block is begun only when the
    array has room for all of it. `done` comes in the cycle after the last factor.

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
            room=In(1, "The array takes a block of weights, and nobody else gives it one."),
            valid=Out(1, "There is a factor, which is taken."),
            factor=Out(factor_layout(params), "The factor."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        layer, request = self.unit.descriptor, self.memory.request
        m.submodules.tiles = tiles = TileCounter()
        column, blocks, last_block = Signal(range(self.params.columns)), Signal(16), Signal()
        taken, whole, flying = Signal(), Signal(), Signal(ActivationMemory.READ_LATENCY)
        m.d.sync += flying.eq((flying << 1) | taken)
        m.d.comb += [
            tiles.tiles_x.eq(layer.tiles_x),
            tiles.tiles_y.eq(layer.tiles_y),
            tiles.start.eq(self.unit.start),
            tiles.next.eq(taken & whole & last_block),
            taken.eq(request.valid & request.ready),
            whole.eq(column == self.params.columns - 1),
            request.valid.eq(tiles.valid & (column.any() | (self.room & ~flying.any()))),
            self.unit.done.eq(self.unit.busy & ~tiles.valid & ~flying.any()),
        ]
        with m.If(taken):
            m.d.sync += column.eq(Mux(whole, 0, column + 1))
        with m.If(self.unit.start | tiles.next):
            m.d.sync += [
                request.payload.eq(layer.weights_offset),
                blocks.eq(layer.blocks),
                last_block.eq(layer.blocks == 1),
            ]
        with m.Elif(taken & whole):
            m.d.sync += [request.payload.eq(request.payload + layer.weights_bytes), blocks.eq(blocks - 1)]
            m.d.sync += last_block.eq(blocks == 2)
        with m.If(self.unit.start | self.unit.done):
            m.d.sync += self.unit.busy.eq(self.unit.start)
        self._answer(m, column, whole & last_block)
        return m

    def _answer(self, m: Module, column: Signal, last: Any) -> None:
        """Take the byte of the column for which a word was read, its top bit inverted if the layer says so."""
        stages = ActivationMemory.READ_LATENCY
        byte = self.memory.data.word_select(delay(m, column, stages, "asked_column"), 8)
        flipped = byte ^ (self.unit.descriptor.flip_gate << 7)
        m.d.comb += [
            self.valid.eq(self.memory.valid),
            self.factor.value.eq(flipped[: self.params.weight_width]),
            self.factor.last.eq(delay(m, last, stages, "asked_last")),
        ]
