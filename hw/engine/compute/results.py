"""Residuals and results of a layer: words at its output positions, in the order in which the array gives results."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import stream, wiring

from roundel.golden.engine import EngineParams, Opcode
from roundel.hw.engine.compute.sums import LOOPS, RowSums
from roundel.hw.engine.ports import (
    descriptor_layout,
    keep_busy,
    read_port,
    unit_port,
    units_of,
    word,
    word_address,
    write_port,
)
from roundel.hw.engine.reader import WordReader
from roundel.hw.lib import Component, In, Out, Walker


class TileWalker(Component):
    """Tiles, blocks, rows, positions of a row: docs/engine.md, COMPUTE. One address a cycle, the first after `start`.

    Parameters
    ----------
    params
        The engine.
    prefix
        Of the descriptor's fields for the first word and the steps: `target` or `residual`. In an engine with `sums`
        that of `target` tells where loops end.
    """

    def __init__(self, params: EngineParams, prefix: str):
        self.params, self.prefix = params, prefix
        flags = wiring.Signature({name: wiring.Out(1) for name in ("x", *LOOPS)})
        self.tells = params.sums and prefix == "target"
        ends = {"ends": Out(flags, "By name: the loop is in its last round, with this address.")} if self.tells else {}
        super().__init__(
            start=In(1, "Begin, while no address is offered."),
            descriptor=In(descriptor_layout(Opcode.COMPUTE), "The descriptor; it stands still from `start` on."),
            addresses=Out(stream.Signature(word_address(params)), "Addresses of words."),
            last=Out(1, "This address is the layer's last."),
            **ends,
        )

    def elaborate(self, platform: Any) -> Module:
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
            steps.x.eq(layer.skip + 1),
            steps.y.eq(layer[f"{prefix}_row"]),
            steps.block.eq(layer[f"{prefix}_plane"]),
            steps.tile_x.eq(layer.tile_w * (layer.skip + 1)),
            steps.tile_y.eq(layer[f"{prefix}_tile"]),
            self.last.eq(walker.last),
        ]
        if self.tells:
            wiring.connect(m, walker.ends, wiring.flipped(self.ends))
        return m


class Residual(Component):
    """Words in the order of results, read ahead, their top bits inverted if the layer says so.

    The first word is offered `1 + WordReader.LATENCY` cycles after `start`, then one a cycle as long as the memory is
    free; up to `WordReader.DEPTH` words are read ahead. So the last of N words that never wait is taken in cycle
    `N + WordReader.LATENCY` after `start`. `done` comes in the cycle after the last word was taken, or, for a layer
    without residual, in the cycle after `start`.

    Parameters
    ----------
    params
        The engine.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            unit=In(unit_port(Opcode.COMPUTE), "The unit's descriptor."),
            memory=Out(read_port(params), "Reads words of the activation memory."),
            words=Out(stream.Signature(word(params)), "Words of signed bytes."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.walker = walker = TileWalker(self.params, "residual")
        m.submodules.reader = reader = WordReader(self.params)
        unit, layer, words = self.unit, self.unit.descriptor, reader.words
        wiring.connect(m, reader.memory, wiring.flipped(self.memory))
        flip = Cat(layer.flip_residual << 7 for _ in range(self.params.lanes))
        m.d.comb += [
            walker.start.eq(unit.start & layer.has_residual),
            walker.descriptor.eq(layer),
            reader.addresses.valid.eq(walker.addresses.valid),
            reader.addresses.p.value.eq(walker.addresses.payload),
            reader.addresses.p.mark.eq(walker.last),
            walker.addresses.ready.eq(reader.addresses.ready),
            self.words.valid.eq(words.valid),
            self.words.payload.eq(words.p.value ^ flip),
            words.ready.eq(self.words.ready),
        ]
        over = words.valid & words.ready & words.p.mark
        m.d.sync += unit.done.eq(over | (unit.start & ~layer.has_residual))
        keep_busy(m, unit)
        return m


class Target(Component):
    """Takes results from the cycle after `start` on, one a cycle, and writes each in the cycle in which it comes.

    A layer of N results that never waits: N writes in cycles 1 to N after `start`, `done` in cycle N + 1; after a last
    result that comes later, `done` is in the next cycle. With `has_sums` each row of a tile takes two cycles more, in
    which the digits of its sums are written.

    Parameters
    ----------
    params
        The engine.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        units = units_of(params) if params.sums else {}
        super().__init__(
            unit=In(
                unit_port(Opcode.COMPUTE, **units), "The unit's descriptor; `done` when all results are in the memory."
            ),
            results=In(stream.Signature(word(params)), "Words in the order of docs/engine.md."),
            memory=Out(write_port(params), "Writes words of the activation memory."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.walker = walker = TileWalker(self.params, "target")
        if self.params.sums:
            self._with_sums(m, walker)
            return m
        request, unit = self.memory.request, self.unit
        written = request.valid & request.ready
        m.d.comb += [
            walker.start.eq(unit.start),
            walker.descriptor.eq(unit.descriptor),
            request.valid.eq(walker.addresses.valid & self.results.valid),
            request.p.address.eq(walker.addresses.payload),
            request.p.data.eq(self.results.payload),
            walker.addresses.ready.eq(request.ready & self.results.valid),
            self.results.ready.eq(request.ready & walker.addresses.valid),
        ]
        m.d.sync += unit.done.eq(written & walker.last)
        keep_busy(m, unit)
        return m

    def _with_sums(self, m: Module, walker: TileWalker) -> None:
        """Write results, and behind each row the digits of its sums in layers with `has_sums`."""
        m.submodules.sums = sums = RowSums(self.params)
        request, unit, digits = self.memory.request, self.unit, sums.digits
        taken, written = self.results.valid & self.results.ready, request.valid & request.ready
        m.d.comb += [
            walker.start.eq(unit.start),
            *(walker.descriptor[name].eq(unit.descriptor[name]) for name in walker.descriptor.shape().members),
            sums.start.eq(unit.start),
            sums.descriptor.eq(unit.descriptor),
            sums.taken.eq(taken),
            sums.result.eq(self.results.payload),
            request.valid.eq(digits.valid | (walker.addresses.valid & self.results.valid)),
            request.p.address.eq(Mux(digits.valid, digits.p.address, walker.addresses.payload)),
            request.p.data.eq(Mux(digits.valid, digits.p.data, self.results.payload)),
            digits.ready.eq(request.ready),
            walker.addresses.ready.eq(request.ready & self.results.valid & ~digits.valid),
            self.results.ready.eq(request.ready & walker.addresses.valid & ~digits.valid),
        ]
        wiring.connect(m, walker.ends, sums.ends)
        last = Mux(unit.descriptor.has_sums, sums.last, walker.last)
        m.d.sync += unit.done.eq(written & last)
        keep_busy(m, unit)
