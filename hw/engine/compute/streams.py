"""Asks the bus for the two streams of every tile: parameters and weights."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream

from roundel.golden.engine import Opcode, Region
from roundel.hw.axi import command_layout
from roundel.hw.engine.compute.parameters import tile_stream_layout
from roundel.hw.engine.compute.tile_steps import TileCounter
from roundel.hw.engine.ports import OUTER_ADDRESS, unit_port
from roundel.hw.lib import Component, In, Out, select


class Streams(Component):
    """A transfer of parameters and one of weights for every tile of a COMPUTE descriptor, and a word to `Parameters`.

    The first tile's are offered in the cycle after `start`, the next tile's in the cycle after the last of a tile's
    three was taken. `done` comes in the cycle after the last tile's: the next descriptor's streams can be asked for
    while those of this one are on their way.

    Parameters
    ----------
    activation
        Whether the engine has an activation unit.
    gates
        Whether weights may be on chip: then there is no transfer of them.
    sums
        Whether descriptors have the fields of sums.
    words
        Whether beats may have several words.
    select
        Whether lanes may select: then steps may have selectors.
    """

    def __init__(
        self,
        *,
        activation: bool = False,
        gates: bool = False,
        sums: bool = False,
        words: bool = False,
        select: bool = False,
    ):
        self.activation, self.gates, self.select = activation, gates, select
        units = {"activation": activation, "gates": gates, "sums": sums, "words": words}
        super().__init__(
            unit=In(unit_port(Opcode.COMPUTE, **units), "The unit's descriptor."),
            bases=In(OUTER_ADDRESS, "Addresses of the regions in the outer memory.").array(len(Region)),
            parameters=Out(stream.Signature(command_layout()), "Transfers of parameters, one a tile."),
            weights=Out(stream.Signature(command_layout()), "Transfers of weights, one a tile."),
            tiles=Out(
                stream.Signature(tile_stream_layout(activation=activation, select=select)),
                "The parameter streams, for `Parameters.tiles`.",
            ),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        d = self.unit.descriptor
        m.submodules.counter = counter = TileCounter()
        outputs = (self.parameters, self.weights, self.tiles)
        left = Signal(len(outputs))  # of this tile's, those that were not taken yet
        kept = Signal.like(left)
        m.d.comb += [
            counter.tiles_x.eq(d.tiles_x),
            counter.tiles_y.eq(d.tiles_y),
            counter.start.eq(self.unit.start),
            counter.next.eq(counter.valid & ~kept.any()),
            kept.eq(left & ~Cat(output.ready for output in outputs)),
            Cat(output.valid for output in outputs).eq(left & counter.valid.replicate(len(left))),
            self.tiles.p.blocks.eq(d.blocks),
            self.tiles.p.address.eq(self.parameters.p.address),
            self.unit.done.eq(self.unit.busy & ~counter.valid),
        ]
        if self.activation:
            begun = Signal()  # the first tile is over
            m.d.comb += [self.tiles.p.activation.eq(d.activation), self.tiles.p.repeated.eq(begun)]
            with m.If(self.unit.start | counter.next):
                m.d.sync += begun.eq(~self.unit.start)
        if self.select:
            m.d.comb += self.tiles.p.wide.eq(d.wide_steps)
        for name in ("parameters", "weights"):
            transfer = Signal(command_layout(), name=f"{name}_transfer", reset_less=True)
            m.d.comb += getattr(self, name).p.eq(transfer)
            with m.If(self.unit.start):
                m.d.sync += [
                    transfer.address.eq(select(list(self.bases), d[f"{name}_region"]) + d[f"{name}_offset"]),
                    transfer.bytes.eq(d[f"{name}_bytes"]),
                ]
        with m.If(self.unit.start | counter.next):
            m.d.sync += left.eq(Cat(1, ~d.has_gate, 1) if self.gates else ~0)
        with m.Elif(counter.valid):
            m.d.sync += left.eq(kept)
        with m.If(self.unit.start | self.unit.done):
            m.d.sync += self.unit.busy.eq(self.unit.start)
        return m
