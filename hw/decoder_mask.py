"""The core of `mask` streams: a beat of `lanes` weights every cycle, whatever its mask says."""

from math import gcd

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring

from golden.decoder import DecoderParams
from hw.arith import multiple, named
from hw.decoder_aligner import Aligner
from hw.decoder_core import MAX_SEGMENT, core_signature


class MaskCore(wiring.Component):
    """Cuts a mask with its codes out of the stream, and moves the codes to the lanes that they belong to.

    A beat every cycle if the bus brings as many bits; one cycle before each segment.

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
        self.step = gcd(params.lanes, params.width)
        self.mask, self.code = params.lanes // self.step, params.width // self.step  # steps of each
        self.aligner = Aligner(params, self.mask + params.lanes * self.code, self.step)
        super().__init__(core_signature(params, self.aligner.reach))

    def elaborate(self, platform):
        m = Module()
        m.submodules.aligner = aligner = self.aligner
        lanes, width, beat = self.params.lanes, self.params.width, self.beats.p
        wiring.connect(m, wiring.flipped(self.chunks), aligner.chunks)
        mask, codes = aligner.bits[:lanes], [aligner.bits[lanes + width * k :][:width] for k in range(lanes)]
        zeros = zeros_below(m, ~mask)
        count = named(m, lanes - zeros[lanes], "count")

        left = Signal(range(MAX_SEGMENT // lanes + 1), reset_less=True)  # whole beats
        rest = self.chunks.p.weights[: lanes.bit_length() - 1]
        final = named(m, ~left[1:].any() & (left[0] ^ rest.any()), "final")
        field = self._field_fault(m, mask, codes, count, final & rest.any())
        fault = named(m, field | aligner.short | (final & aligner.surplus), "found")
        with m.If(~field):
            m.d.comb += self.fault_bit.eq(aligner.end_bit)

        taken = named(m, self.beats.valid & self.beats.ready, "taken")
        m.d.comb += [
            aligner.clear.eq(self.clear),
            aligner.used.eq(self.mask + multiple(count, self.code)),
            aligner.take.eq(taken),
            aligner.done.eq(taken & final),
            self.fault.eq(aligner.valid & fault),
            self.beats.valid.eq(aligner.valid & ~fault),
            beat.zero.eq(~mask.any()),
            beat.last.eq(final),
        ]
        for lane, code in enumerate(expand(m, codes, zeros[:lanes])):
            m.d.comb += beat.codes[lane].eq(Mux(mask[lane], code, 0))
        with m.If(aligner.idle):
            m.d.sync += left.eq(self.chunks.p.weights >> (lanes.bit_length() - 1))
        with m.If(taken):
            m.d.sync += left.eq(left - 1)
        return m

    def _field_fault(self, m: Module, mask: Value, codes: list[Value], count: Value, ragged: Value) -> Value:
        """Whether a field is wrong that lies within the segment: the mask, if `ragged` past the last weight, or a code.

        `fault_bit` is then set to the first.
        """
        lanes, chunk, aligner = self.params.lanes, self.chunks.p, self.aligner
        room = named(m, chunk.end * aligner.word - aligner.begin - self.mask, "room")  # above the mask
        over = Signal()
        with m.If(ragged & (room >= 0)):
            m.d.comb += over.eq((mask >> chunk.weights[: lanes.bit_length() - 1]).any())
        wrong = Signal(lanes)
        for k, code in enumerate(codes):
            unknown = code >= self.header.codes if self.params.table else 0
            m.d.comb += wrong[k].eq((count > k) & (room >= (k + 1) * self.code) & (~code.any() | unknown))
        first = Signal(range(lanes))
        for k in reversed(range(lanes)):
            with m.If(wrong[k]):
                m.d.comb += first.eq(k)
        offset = Mux(over, 0, lanes + multiple(first, self.params.width))
        m.d.comb += self.fault_bit.eq(aligner.begin * self.step + offset)
        return named(m, over | wrong.any(), "field_fault")


def zeros_below(m: Module, absent: Value) -> list[Value]:
    """For each lane, and for the end, how many lanes below are `absent`: counts of halves, added to those behind."""

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
    return [Cat(count, Const(0, width))[:width] for count in (Const(0, 1), *counts(0, len(absent)))]


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
