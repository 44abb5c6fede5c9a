"""Cuts fields of changing length out of the chunks of a segment, one per cycle."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream

from roundel.golden.bits import WORD
from roundel.golden.codec import DecoderParams
from roundel.hw.decoder.contract import chunk_layout
from roundel.hw.lib import Component, In, Out, named


class Aligner(Component):
    """A register with the bits before the chunk, a position, and a single shifter that cuts the next field out of both.

    The register `history` is one step shorter than the largest field, and the position counts from its bottom. A field
    that begins there is whole while the position is less than the bus; if the next field begins further up, the chunk
    moves into `history` in the same cycle. So a field of at most a whole bus can be taken in every cycle. The last
    chunk moves too, but stays with the frame until the segment is done: `moved` says how often it did. The cycle before
    the first field of a segment only sets the position.

    Lengths and positions count steps.

    Parameters
    ----------
    params
        See `roundel.golden.codec.decoder.DecoderParams`.
    largest
        Steps of the largest field.
    step
        Bits, a power of two that divides the length of every field; at most 32.
    beyond
        Steps by which a field that is taken may end behind the segment.
    """

    def __init__(self, params: DecoderParams, largest: int, step: int, beyond: int = 0):
        self.params, self.largest, self.step = params, largest, step
        self.bus, self.word, self.held = params.bus // step, WORD // step, largest - 1
        self.bus_log = self.bus.bit_length() - 1
        self.beyond = beyond
        self.reach = step * (max(largest, beyond) + 2 * self.bus)  # of positions relative to the chunk, in bits
        super().__init__(
            chunks=In(
                stream.Signature(chunk_layout(params)), "Payload of the segments, see `roundel.hw.decoder.contract`."
            ),
            clear=In(1, "Become as before the first chunk, see `roundel.hw.decoder.contract`."),
            idle=Out(
                1, "The aligner is between two segments. If there is a chunk, the next cycle is the first of a segment."
            ),
            bits=Out(largest * step, "The next field at the bottom. Bits behind the segment are don't-cares."),
            valid=Out(1, "The field is there."),
            used=In(range(largest + 1), "Length of the field in steps, to be known early in the cycle."),
            needed=In(
                range(largest + 1),
                "Steps of the field that have to lie in the segment, to be known early in the cycle.",
            ),
            take=In(1, "Go on behind the field; only if `valid`."),
            done=In(1, "The field was the last one of the segment."),
            short=Out(1, "The segment ends within the steps `needed`."),
            surplus=Out(1, "Behind the steps `needed` there is a word that the field does not touch."),
            begin=Out(
                signed((self.reach // step - 1).bit_length() + 1), "First step of the field, relative to the chunk."
            ),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        chunk = self.chunks.p
        history = Signal(self.held * self.step, reset_less=True)
        at = Signal(range(self.held + self.bus), reset_less=True)
        moved = Signal(range((self.held + self.beyond) // self.bus + 2), reset_less=True)
        started = Signal()
        bits = Cat(history, chunk.data)
        here = named(m, started & self.chunks.valid, "here")
        whole = named(m, ~at[self.bus_log :].any(), "whole")
        after = named(m, at + self.used, "after")
        over = named(m, here & Mux(whole, self.take & after[self.bus_log :].any(), 1), "over")

        m.d.comb += [
            self.idle.eq(~started),
            self.bits.eq(self._cut(m, bits, at)),
            self.valid.eq(here & whole),
            self.chunks.ready.eq(Mux(chunk.last, self.done, over)),
        ]
        with m.If(over):
            m.d.sync += [history.eq(bits[self.params.bus :]), moved.eq(moved + chunk.last)]
        with m.If(started):
            m.d.sync += at.eq(Mux(self.take, after, at) - Mux(over, self.bus, 0))
            m.d.sync += started.eq(~self.done & ~self.clear)
        with m.Else():
            m.d.sync += [at.eq(self.held + chunk.start * self.word), moved.eq(0)]
            m.d.sync += started.eq(self.chunks.valid & ~self.clear)

        behind = named(m, at + self.needed, "behind")
        steps = named(m, moved << self.bus_log, "steps")
        limit = named(m, chunk.end * self.word + self.held - steps, "limit")
        m.d.comb += [
            self.begin.eq(at + steps - self.held),
            self.short.eq(chunk.last & (behind > limit)),
            self.surplus.eq(~chunk.last | (behind + self.word <= limit)),
        ]
        return m

    def _cut(self, m: Module, bits: Value, at: Value) -> Value:
        """Cut out the largest field from `at` on: each stage of multiplexers keeps fewer of the bits above."""
        for stage in reversed(range(self.bus_log)):
            kept = (self.largest + (1 << stage) - 1) * self.step
            bits = Cat(bits, Const(0, max(0, kept + (self.step << stage) - len(bits))))
            bits = named(m, Mux(at[stage], bits[self.step << stage :][:kept], bits[:kept]), f"cut_{stage}")
        return bits

    def next_bit(self, place: Value) -> Value:
        """Return the bit of the first word that begins at `place` or behind it, both relative to the chunk."""
        return ((place + (self.word - 1)) >> (self.word.bit_length() - 1)) * WORD
