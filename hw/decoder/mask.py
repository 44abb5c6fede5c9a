"""The core of `mask` streams: a beat of `lanes` weights every cycle, whatever its mask says."""

from math import gcd
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring

from roundel.golden.bits import WORD
from roundel.golden.codec import DecoderParams
from roundel.hw.decoder.aligner import Aligner
from roundel.hw.decoder.contract import MAX_SEGMENT, core_ports
from roundel.hw.lib import Component, multiple, named, select


class MaskCore(Component):
    """Cuts codes and the mask behind them out of the stream, and moves the codes to the lanes that they belong to.

    The mask says how many codes it has a cycle before they are cut out, so that it is known from the start where they
    end, and where the next field begins.

    A beat every cycle if the bus brings as many bits; two cycles before each segment.

    Parameters
    ----------
    params
        See `roundel.golden.codec.decoder.DecoderParams`.
    """

    def __init__(self, params: DecoderParams):
        self.params = params
        self.step = gcd(params.lanes, params.width)
        self.mask, self.code = params.lanes // self.step, params.width // self.step  # steps of each
        largest = self.mask + params.lanes * self.code
        # What is wrong is found out when a beat has been taken, and a mask that need not be there.
        self.aligner = Aligner(params, largest, self.step, beyond=largest + self.mask)
        super().__init__(**core_ports(params, self.aligner.reach))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.aligner = aligner = self.aligner
        lanes, width, beat = self.params.lanes, self.params.width, self.beats.p
        wiring.connect(m, wiring.flipped(self.chunks), aligner.chunks)
        mask, count = Signal(lanes, reset_less=True), Signal(range(lanes + 1), reset_less=True)
        first = Signal()  # there is no beat yet, only the first mask
        codes = [aligner.bits[width * k :][:width] for k in range(lanes)]
        behind = select([aligner.bits[width * k :][:lanes] for k in range(lanes + 1)], count)
        behind = named(m, behind, "behind")  # the next mask

        left = Signal(range(MAX_SEGMENT // lanes + 1), reset_less=True)  # whole beats
        rest = Signal(range(lanes), reset_less=True)  # weights behind them
        final = named(m, ~first & ~left[1:].any() & (left[0] ^ rest.any()), "final")
        over = Signal()  # the last beat was taken
        there = named(m, aligner.valid & ~first & ~over & ~self.fault, "there")
        taken = named(m, there & self.beats.ready, "taken")
        length = named(m, multiple(count, self.code), "length")
        wrong = self._faults(m, mask, codes, count, taken, final, final & rest.any() & (mask >> rest).any())
        m.d.comb += [
            aligner.clear.eq(self.clear),
            aligner.needed.eq(length),
            aligner.used.eq(length + self.mask),
            aligner.take.eq(taken | (aligner.valid & first)),
            aligner.done.eq(over & ~self.fault),
            self.beats.valid.eq(there),
            self.refused.eq(wrong),
            beat.zero.eq(~mask.any()),
            beat.last.eq(final),
        ]
        for lane, code in enumerate(expand(m, codes, zeros_below(m, ~mask))):
            m.d.comb += beat.codes[lane].eq(Mux(mask[lane], code, 0))
        m.d.sync += over.eq(taken & final)
        with m.If(aligner.take):
            m.d.sync += [mask.eq(behind), count.eq(ones(m, behind)), first.eq(0)]
        with m.If(aligner.idle):
            m.d.sync += [count.eq(0), first.eq(1), Cat(rest, left).eq(self.chunks.p.weights)]
        with m.If(taken):
            m.d.sync += left.eq(left - 1)
        return m

    def _faults(
        self, m: Module, mask: Value, codes: list[Value], count: Value, taken: Value, final: Value, ragged: Value
    ) -> Value:
        """Find faults in the beat or behind it; `fault` follows when it was taken, as the position takes long.

        By then the aligner stands behind the next mask.
        """
        lanes, chunk, aligner = self.params.lanes, self.chunks.p, self.aligner
        unknown = [code >= self.header.codes if self.params.table else 0 for code in codes]
        bad = Cat((count > k) & (~code.any() | unknown[k]) for k, code in enumerate(codes))
        bad = named(m, bad, "bad")
        inside = named(m, ragged | bad.any(), "inside")
        wrong = named(m, inside | aligner.short | (final & aligner.surplus), "wrong")

        first = Signal(range(lanes))
        for k in reversed(range(lanes)):
            with m.If(bad[k]):
                m.d.comb += first.eq(k)
        begins = Signal(range(-self.mask, lanes * self.code))  # the mask or the code, from the first code on
        m.d.comb += begins.eq(Mux(ragged, -self.mask, multiple(first, self.code)))
        back = Signal(range(aligner.largest + self.mask + 1), reset_less=True)
        was = Signal(data.StructLayout({"inside": 1, "ragged": 1, "short": 1}), reset_less=True)
        m.d.sync += self.fault.eq(taken & wrong)
        m.d.sync += [was.inside.eq(inside), was.ragged.eq(ragged), was.short.eq(aligner.short)]
        m.d.sync += back.eq(self.mask + Mux(inside, aligner.needed - begins, 0))
        size = Mux(was.ragged, self.mask, self.code)
        place = named(m, aligner.begin - back, "place")
        # Whether what is wrong lies in the segment: `place + size <= end`, with the sums side by side.
        lies = named(m, was.inside & (aligner.begin <= back - size + chunk.end * aligner.word), "lies")
        bit = Mux(was.short, chunk.end * WORD, aligner.next_bit(place))
        m.d.comb += self.fault_bit.eq(Mux(lies, place * aligner.step, bit))
        return wrong


def ones(m: Module, bits: Value) -> Value:
    """How many of them are ones."""
    if len(bits) == 1:
        return bits
    middle = len(bits) // 2
    return named(m, ones(m, bits[:middle]) + ones(m, bits[middle:]), f"ones_{len(bits)}")


def zeros_below(m: Module, absent: Value) -> list[Value]:
    """For each lane, how many lanes below are `absent`: counts of halves, added to those behind."""

    def counts(low: int, high: int) -> list[Value]:
        """For each lane of a range but the first, and for its end."""
        if high - low == 1:
            return [absent[low]]
        middle = (low + high) // 2
        lower = counts(low, middle)
        bits = (high - low).bit_length()
        sums = [(lower[-1] + upper)[:bits] for upper in counts(middle, high)]
        return lower + [named(m, value, f"zeros_{low}_{at}") for at, value in enumerate(sums, start=middle + 1)]

    width = len(absent).bit_length()
    return [Cat(count, Const(0, width))[:width] for count in (Const(0, 1), *counts(0, len(absent))[:-1])]


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
