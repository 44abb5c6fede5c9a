"""Sums of results on their way into the activation memory: of each row of a tile, for means of whole maps."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import stream, wiring

from roundel.golden.engine import DIGIT_BITS, SUM_BITS, EngineParams, Opcode
from roundel.hw.engine.ports import descriptor_layout, units_of, word, write_layout
from roundel.hw.lib import Component, In, Out, named

LOOPS = ("y", "block", "tile_x", "tile_y")
"""Loops around a row of results, the innermost first."""


class RowSums(Component):
    """Adds up the results of a row; behind its last one come two words, lower and upper digits.

    Results count as signed bytes, with `flip_sums` as unsigned ones less 128.

    The first word is offered in the cycle after the row's last result, the second in the cycle after the first was
    taken; no result may come until both are taken. Addresses are those of docs/engine.md.

    Parameters
    ----------
    params
        The engine's, which has `sums`.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            start=In(1, "A layer begins."),
            descriptor=In(
                descriptor_layout(Opcode.COMPUTE, **units_of(params)), "The layer; it stands still from `start` on."
            ),
            taken=In(1, "A result is written."),
            result=In(word(params), "The result."),
            ends=In(
                wiring.Signature({name: wiring.Out(1) for name in ("x", *LOOPS)}),
                "By name: the loop is in its last round, with this result.",
            ),
            digits=Out(stream.Signature(write_layout(params)), "Words of the activation memory."),
            last=Out(1, "This word is the layer's last."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        taken = named(m, self.taken & self.descriptor.has_sums, "summed")
        lower, upper, ended = Signal(), Signal(), Signal(len(LOOPS))
        moved = named(m, self.digits.valid & self.digits.ready, "moved")
        with m.If(taken & self.ends.x):
            m.d.sync += [lower.eq(1), ended.eq(Cat(getattr(self.ends, name) for name in LOOPS))]
        with m.Elif(moved):
            m.d.sync += [lower.eq(0), upper.eq(lower)]
        m.d.comb += [self.digits.valid.eq(lower | upper), self.last.eq(upper & ended.all())]
        self._add(m, taken, upper)
        self._places(m, lower & moved, upper & moved, ended)
        return m

    def _add(self, m: Module, taken: Value, upper: Value) -> None:
        """Add results to the sums of their columns, which begin anew with each row, and offer these digit by digit."""
        fresh, words = Signal(init=1), list[Value]()
        with m.If(taken):
            m.d.sync += fresh.eq(self.ends.x)
        for column in range(self.params.columns):
            total = Signal(SUM_BITS, name=f"total_{column}", reset_less=True)
            byte = (self.result.word_select(column, 8) ^ (self.descriptor.flip_sums << 7))[:8].as_signed()
            with m.If(taken):
                m.d.sync += total.eq((total & ~fresh.replicate(SUM_BITS)) + byte)
            chosen = (total[:DIGIT_BITS] & ~upper.replicate(DIGIT_BITS)) | (
                total[DIGIT_BITS:] & upper.replicate(SUM_BITS - DIGIT_BITS)
            )
            words.append(chosen[:8])
        m.d.comb += self.digits.p.data.eq(Cat(words))

    def _places(self, m: Module, to_upper: Value, to_next: Value, ended: Value) -> None:
        """Go to the upper digit's word, and from there to the next row's, as `roundel.hw.lib.Walker` does."""
        layer, place = self.descriptor, self.digits.p.address
        steps = {"y": 1, "block": layer.sums_plane << 1, "tile_x": layer.sums_tile, "tile_y": layer.tile_h}
        origin = Signal.like(place)
        within: Value = Const(1)
        m.d.comb += origin.eq(layer.sums)
        following = {name: Signal.like(place, name=f"following_{name}", reset_less=True) for name in LOOPS}
        for number, name in reversed(list(enumerate(LOOPS))):
            with m.If(~self.start & ~ended[number]):
                m.d.comb += origin.eq(following[name])
        with m.If(self.start | to_next):
            m.d.sync += place.eq(origin)
        with m.Elif(to_upper):
            m.d.sync += place.eq(place + layer.sums_plane)
        for number, name in enumerate(LOOPS):
            with m.If(self.start | (to_next & within)):
                m.d.sync += following[name].eq(origin + steps[name])
            within = within & ended[number]
