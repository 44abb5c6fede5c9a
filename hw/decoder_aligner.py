"""Cuts fields of changing length out of the chunks of a segment, one per cycle."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from golden.bits import WORD
from golden.decoder import DecoderParams
from hw.arith import named
from hw.decoder_core import chunk_layout


class Aligner(wiring.Component):
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
        See `golden.decoder.DecoderParams`.
    largest
        Steps of the largest field.
    step
        Bits, a power of two that divides the length of every field; at most 32.

    Members
    -------
    chunks : In(stream.Signature(chunk_layout(params))), clear : In(1)
        See `hw.decoder_core`.
    idle : Out(1)
        Between two segments. If there is a chunk, the next cycle is the first of a segment.
    bits : Out(largest * step), valid : Out(1)
        The next field at the bottom; whatever comes behind the segment may be anything.
    used : In(range(largest + 1))
        How long it is.
    take : In(1)
        Go on behind it; only if `valid`.
    done : In(1)
        It was the last one of the segment.
    begin : Out(signed)
        Where it begins, relative to the chunk.
    short : Out(1)
        It is not whole: the segment ends within it.
    surplus : Out(1)
        There is a word behind it that it does not touch.
    end_bit : Out(signed)
        The bit of that word, or of the segment's end if there is none, relative to the chunk.
    """

    def __init__(self, params: DecoderParams, largest: int, step: int):
        self.params, self.largest, self.step = params, largest, step
        self.bus, self.word, self.held = params.bus // step, WORD // step, largest - 1
        self.bus_log = self.bus.bit_length() - 1
        self.reach = step * (largest + 2 * self.bus)  # of positions relative to the chunk, in bits
        super().__init__(
            {
                "chunks": In(stream.Signature(chunk_layout(params))),
                "clear": In(1),
                "idle": Out(1),
                "bits": Out(largest * step),
                "valid": Out(1),
                "used": In(range(largest + 1)),
                "take": In(1),
                "done": In(1),
                "begin": Out(signed((self.reach // step - 1).bit_length() + 1)),
                "short": Out(1),
                "surplus": Out(1),
                "end_bit": Out(signed((self.reach - 1).bit_length() + 1)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        chunk = self.chunks.p
        history = Signal(self.held * self.step, reset_less=True)
        at = Signal(range(self.held + self.bus), reset_less=True)
        moved = Signal(range(self.held // self.bus + 2), reset_less=True)
        started = Signal()
        bits = Cat(history, chunk.data)
        here = named(m, started & self.chunks.valid, "here")
        beyond = named(m, at + self.used, "beyond")
        after = named(m, Mux(self.take, beyond, at), "after")
        over = named(m, here & after[self.bus_log :].any(), "over")

        m.d.comb += [
            self.idle.eq(~started),
            self.bits.eq(self._cut(m, bits, at)),
            self.valid.eq(here & ~at[self.bus_log :].any()),
            self.chunks.ready.eq(self.done | (over & ~chunk.last)),
        ]
        with m.If(over):
            m.d.sync += [history.eq(bits[self.params.bus :]), moved.eq(moved + chunk.last)]
        with m.If(started):
            m.d.sync += [at.eq(after - Mux(over, self.bus, 0)), started.eq(~self.done & ~self.clear)]
        with m.Else():
            m.d.sync += [at.eq(self.held + chunk.start * self.word), moved.eq(0)]
            m.d.sync += started.eq(self.chunks.valid & ~self.clear)
        self._end(m, at, beyond, moved)
        return m

    def _cut(self, m: Module, bits: Value, at: Value) -> Value:
        """The largest field from `at` on: each stage of multiplexers keeps less of what is above."""
        for stage in reversed(range(self.bus_log)):
            kept = (self.largest + (1 << stage) - 1) * self.step
            bits = Cat(bits, Const(0, max(0, kept + (self.step << stage) - len(bits))))
            bits = named(m, Mux(at[stage], bits[self.step << stage :][:kept], bits[:kept]), f"cut_{stage}")
        return bits

    def _end(self, m: Module, at: Value, beyond: Value, moved: Value) -> None:
        """Where the field lies in the segment."""
        chunk = self.chunks.p
        origin = named(m, (moved << self.bus_log) - self.held, "origin")
        m.d.comb += self.begin.eq(at + origin)
        spare = named(m, chunk.end * self.word - origin - beyond, "spare")
        words = Mux(self.short, 0, spare >> (self.word.bit_length() - 1))
        m.d.comb += [
            self.short.eq(spare < 0),
            self.surplus.eq(~chunk.last | (spare >= self.word)),
            self.end_bit.eq((chunk.end - words) << 5),
        ]
