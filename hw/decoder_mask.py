"""The core of `mask` streams: a beat of `lanes` weights every cycle, whatever its mask says."""

from math import gcd

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring

from golden.bits import WORD
from golden.decoder import DecoderParams
from hw.arith import multiple, named
from hw.decoder_core import MAX_SEGMENT, core_signature


class MaskCore(wiring.Component):
    """Finds where beats begin, and moves their codes to the lanes that they belong to.

    The register `history` holds the bits before the chunk, one step less than the largest beat, and `at` counts from
    its bottom. A beat that begins there is whole while `at` is less than the bus; if the next one begins further up,
    the chunk moves into `history` in the same cycle. So a full bus gives a beat in every cycle, and there is a single
    shifter, which cuts the beat out. Positions count steps of as many bits as masks and codes have in common.

    The segment's last chunk moves too, but stays with the frame until the last beat: `moved` says how often it did.
    One cycle at the start of each segment loads `at` and the count of beats.

    Parameters
    ----------
    params
        See `golden.decoder.DecoderParams`.

    Members
    -------
    See `hw.decoder_core.core_signature`.
    """

    def __init__(self, params: DecoderParams):
        self.params = params
        lanes, width = params.lanes, params.width
        self.step = gcd(lanes, width)
        self.largest = (lanes + lanes * width) // self.step
        self.bus, self.word = params.bus // self.step, WORD // self.step
        self.held = self.largest - 1
        super().__init__(core_signature(params, self.step * (self.largest + 2 * self.bus)))

    def elaborate(self, platform):
        m = Module()
        lanes, width, chunk = self.params.lanes, self.params.width, self.chunks.p
        history = Signal(self.held * self.step, reset_less=True)
        at = Signal(range(self.held + self.bus), reset_less=True)
        moved = Signal(range(self.held // self.bus + 2), reset_less=True)
        left = Signal(range(MAX_SEGMENT // lanes + 1), reset_less=True)  # whole beats
        started = Signal()

        beat = self._cut(m, Cat(history, chunk.data), at)
        mask, codes = beat[:lanes], [beat[lanes + width * k :][:width] for k in range(lanes)]
        zeros = zeros_below(m, ~mask)
        count = named(m, lanes - zeros[lanes], "count")
        beyond = named(m, at + self.largest - multiple(zeros[lanes], width // self.step), "beyond")

        rest = chunk.weights[: lanes.bit_length() - 1]
        final = named(m, ~left[1:].any() & (left[0] ^ rest.any()), "final")
        whole = named(m, started & self.chunks.valid & ~at[self.bus.bit_length() - 1 :].any(), "whole")
        origin = named(m, moved * self.bus - self.held, "origin")  # of `history`, relative to the chunk
        fault = self._faults(m, mask, codes, count, final, at + origin)
        m.d.comb += [self.fault.eq(whole & fault), self.beats.valid.eq(whole & ~fault)]

        taken = named(m, self.beats.valid & self.beats.ready, "taken")
        after = named(m, Mux(taken, beyond, at), "after")
        over = named(m, started & self.chunks.valid & after[self.bus.bit_length() - 1 :].any(), "over")
        done = named(m, taken & final, "done")
        m.d.comb += self.chunks.ready.eq(done | (over & ~chunk.last))
        with m.If(taken):
            m.d.sync += left.eq(left - 1)
        with m.If(over):
            m.d.sync += history.eq(Cat(history, chunk.data)[self.params.bus :])
            m.d.sync += moved.eq(moved + chunk.last)
        with m.If(started):
            m.d.sync += at.eq(after - Mux(over, self.bus, 0))
        with m.Else():
            m.d.sync += [at.eq(self.held + chunk.start * self.word), left.eq(chunk.weights >> lanes.bit_length() - 1)]
            m.d.sync += moved.eq(0)
        m.d.sync += started.eq(Mux(started, ~done, self.chunks.valid) & ~self.clear)

        placed = expand(m, codes, zeros[:lanes])
        m.d.comb += [self.beats.p.codes[lane].eq(Mux(mask[lane], placed[lane], 0)) for lane in range(lanes)]
        m.d.comb += [self.beats.p.zero.eq(~mask.any()), self.beats.p.last.eq(final)]
        return m

    def _cut(self, m: Module, bits: Value, at: Value) -> Value:
        """The bits of the largest beat from `at` on: each stage of multiplexers keeps less of what is above."""
        for stage in reversed(range(self.bus.bit_length() - 1)):
            kept = (self.largest + (1 << stage) - 1) * self.step
            bits = Cat(bits, Const(0, max(0, kept + (self.step << stage) - len(bits))))
            bits = named(m, Mux(at[stage], bits[self.step << stage :][:kept], bits[:kept]), f"cut_{stage}")
        return bits

    def _faults(self, m: Module, mask: Value, codes: list[Value], count: Value, final: Value, begin: Value) -> Value:
        """Whether there is one in the beat that is `begin` steps above the chunk, if it is a whole one; `fault_bit`.

        Bits above the segment's end may be anything: only fields below it are looked at.
        """
        lanes, width, chunk = self.params.lanes, self.params.width // self.step, self.chunks.p
        rest = chunk.weights[: lanes.bit_length() - 1]
        end = chunk.end * self.word
        room = named(m, (end - begin - lanes // self.step), "room")  # above the mask
        spare = named(m, (room - multiple(count, width)), "spare")  # above the codes
        surplus = Signal()
        with m.If(final & rest.any() & (room >= 0)):
            m.d.comb += surplus.eq((mask >> rest).any())
        wrong = Signal(lanes)
        for k, code in enumerate(codes):
            unknown = code >= self.header.codes if self.params.table else 0
            within = (count > k) & (room >= (k + 1) * width)
            m.d.comb += wrong[k].eq(within & (~code.any() | unknown))
        first = Signal(range(lanes))
        for k in reversed(range(lanes)):
            with m.If(wrong[k]):
                m.d.comb += first.eq(k)
        field = begin * self.step + Mux(surplus, 0, lanes + multiple(first, self.params.width))
        words = chunk.end - Mux(spare < 0, 0, spare >> (self.word.bit_length() - 1))
        m.d.comb += self.fault_bit.eq(Mux(surplus | wrong.any(), field, words * WORD))
        return surplus | wrong.any() | (spare < 0) | (final & (~chunk.last | (spare >= self.word)))


def zeros_below(m: Module, absent: Value) -> list[Value]:
    """For each lane, and for the end, how many lanes below are `absent`."""
    counts: list[Value] = [Const(0, len(absent).bit_length())]
    for lane in range(len(absent)):
        counts.append(named(m, (counts[-1] + absent[lane])[: len(counts[0])], f"zeros_{lane + 1}"))
    return counts


def expand(m: Module, codes: list[Value], zeros: list[Value], step: int = 1) -> list[Value]:
    """Move packed codes up by the zeros below the lane where each belongs; other lanes get a neighbour's code.

    The last stage moves codes by one lane, those before it by 2, 4, ... What a stage does in a place is the next bit of
    the zeros of the lane that it leads to.
    """
    if step == len(codes):
        return codes
    moves = [bits[0] for bits in zeros]
    if 2 * step < len(codes):
        above = [bits[1:] for bits in zeros]
        for place in range(len(codes) - step):
            chosen = Mux(moves[place + step], above[place + step], above[place])
            above[place] = named(m, chosen, f"above_{step}_{place}")
        codes = expand(m, codes, above, 2 * step)
    moved = [Mux(moves[lane], codes[lane - step], codes[lane]) for lane in range(step, len(codes))]
    return codes[:step] + [named(m, code, f"moved_{step}_{lane}") for lane, code in enumerate(moved, start=step)]
