"""The core of `relative` streams: one non-zero weight per cycle, or as many zeros of a run as a beat has."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring

from roundel.golden.bits import WORD
from roundel.golden.codec import RELATIVE_RUN_BITS, DecoderParams
from roundel.hw.decoder.aligner import Aligner
from roundel.hw.decoder.contract import MAX_SEGMENT, core_ports
from roundel.hw.lib import Component, named


class RelativeCore(Component):
    """Puts the code of each entry into a beat, and gives the beat when the next code lies behind it.

    An entry takes one cycle, or as many as beats end before its code. Two cycles for each segment come on top: one
    before, and one for its last beat.

    Parameters
    ----------
    params
        See `roundel.golden.codec.decoder.DecoderParams`.
    """

    def __init__(self, params: DecoderParams):
        self.params = params
        self.aligner = Aligner(params, RELATIVE_RUN_BITS + params.width, 1)
        super().__init__(**core_ports(params, self.aligner.reach))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.aligner = aligner = self.aligner
        wiring.connect(m, wiring.flipped(self.chunks), aligner.chunks)
        lanes, bits = self.params.lanes, self.header.run_bits
        run = Cat(aligner.bits[bit] & (bits > bit) for bit in range(RELATIVE_RUN_BITS))
        code = named(m, (aligner.bits >> bits)[: self.params.width], "code")

        free = Signal(signed(RELATIVE_RUN_BITS + 2), reset_less=True)  # first place behind the last code, in this beat
        left = Signal(range(MAX_SEGMENT + 1), reset_less=True)  # weights, from the first place of this beat on
        full = Signal(reset_less=True)  # the last weight is in this beat
        place = named(m, (free + run)[: RELATIVE_RUN_BITS + 1], "place")  # of the code
        ahead = place >> (lanes.bit_length() - 1)  # how many beats ahead
        unknown = code >= self.header.codes if self.params.table else 0
        wrong = named(m, ~full & ~aligner.short & ((place >= left) | unknown), "wrong")
        fault = named(m, Mux(full, aligner.surplus, wrong | aligner.short), "found")
        there = named(m, Mux(full, ~aligner.idle & self.chunks.valid, aligner.valid) & ~fault, "there")
        move = named(m, there & (full | ahead.any()), "move")  # to the next beat
        moves = named(m, move & self.beats.ready, "moves")
        m.d.comb += [
            aligner.clear.eq(self.clear),
            aligner.used.eq(bits + self.params.width),
            aligner.needed.eq(Mux(full, 0, bits + self.params.width)),
            aligner.take.eq(there & ~full & ~ahead[1:].any() & (~move | self.beats.ready)),
            aligner.done.eq(full & moves),
            self.fault.eq(Mux(full, ~aligner.idle & self.chunks.valid, aligner.valid) & fault),
            self.fault_bit.eq(
                Mux(full, aligner.next_bit(aligner.begin), Mux(wrong, aligner.begin, self.chunks.p.end * WORD))
            ),
            self.beats.valid.eq(move),
            self.beats.p.last.eq(full),
        ]
        with m.If(aligner.idle):
            m.d.sync += [free.eq(0), left.eq(self.chunks.p.weights), full.eq(0)]
        with m.Elif(aligner.take):
            m.d.sync += [free.eq(place[: lanes.bit_length() - 1] + 1), full.eq(place + 1 == left)]
        with m.Elif(moves):
            m.d.sync += free.eq(free - lanes)
        with m.If(moves):
            m.d.sync += left.eq(left - lanes)
        self._beat(m, place, code, moves)
        return m

    def _beat(self, m: Module, place: Value, code: Value, moves: Value) -> None:
        """Fill the beat, and note whether it holds a code other than 0."""
        lanes = self.params.lanes
        codes = Signal(data.ArrayLayout(self.params.width, lanes), reset_less=True)
        zero = Signal(reset_less=True)
        begins = named(m, moves | self.aligner.idle, "begins")
        m.d.sync += zero.eq((zero | begins) & ~(self.aligner.take & code.any()))
        for lane in range(lanes):
            here = self.aligner.take & (place[: lanes.bit_length() - 1] == lane)
            with m.If(here | begins):
                m.d.sync += codes[lane].eq(Mux(here, code, 0))
        m.d.comb += [self.beats.p.codes.eq(codes), self.beats.p.zero.eq(zero)]
