"""The core of a decoder of `rice` streams: slices that decode side by side, and words in the order of need."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from roundel.golden.codec import DecoderParams
from roundel.hw.decoder.contract import core_ports
from roundel.hw.decoder.rice_slice import RiceSlice, most_rows
from roundel.hw.decoder.rice_words import RiceWords, reach
from roundel.hw.lib import Component, named


class RiceCore(Component):
    """One round per cycle, and one cycle more for each word beyond the first that the round takes.

    A cycle hands out one word, to the first slice that lacks bits for its symbol of the round; those that lack none do
    not wait for it. So a word that all slices see is all that lies between the chunk and them.

    A beat takes as many cycles as its rounds do, one if it has none; a segment two more.

    Parameters
    ----------
    params
        The decoder, of packing `rice`.
    """

    def __init__(self, params: DecoderParams):
        self.decoder = params
        self.depth = params.lanes // params.slices
        self.words = RiceWords(params)
        self.slices = [RiceSlice(params) for _ in range(params.slices)]
        super().__init__(**core_ports(params, reach(params)))

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.words = words = self.words
        for index, part in enumerate(self.slices):
            m.submodules[f"slice{index}"] = part
        m.d.comb += [words.chunks.payload.eq(self.chunks.payload), words.chunks.valid.eq(self.chunks.valid)]
        m.d.comb += self.chunks.ready.eq(words.chunks.ready)

        running = Signal()
        step = named(m, self.beats.valid & self.beats.ready, "step")
        m.d.comb += words.start.eq(self.chunks.valid & ~running)
        last = self._rows(m, words.start, step)
        m.d.comb += words.finish.eq(step & last)
        with m.If(self.clear | words.finish):
            m.d.sync += running.eq(0)
        with m.Elif(words.start):
            m.d.sync += running.eq(1)

        now, wrong = (named(m, self._all(name), f"all_{name}") for name in ("now", "wrong"))
        starved, blamed, refused = self._round(m, running, step, now, wrong)
        complete = named(m, running & ~refused & ~now.any(), "complete")
        surplus = named(m, complete & last & ~words.used_up, "surplus")
        codes = Cat(part.codes[row] for row in range(self.depth) for part in self.slices)
        m.d.comb += [
            self.beats.valid.eq(complete & ~surplus),
            self.beats.payload.codes.eq(codes),
            self.beats.payload.zero.eq(~codes.any()),
            self.beats.payload.last.eq(last),
            self.fault.eq(refused | starved | surplus),
            self.fault_bit.eq(Mux(refused | blamed, words.round_bit, words.next_bit)),
        ]
        return m

    def _all(self, name: str) -> Value:
        """Return a bit of every slice."""
        return Cat(getattr(part, name) for part in self.slices)

    def _rows(self, m: Module, start: Value, step: Value) -> Value:
        """Count the rows of the segment down, beat by beat; returns 1 in its last beat."""
        count = len(self.slices)
        rows, short = Signal(range(most_rows(self.decoder) + 1)), Signal(count)
        more = self.chunks.payload.weights - 1  # what lies before the last weight
        with m.If(start):
            m.d.sync += rows.eq((more >> (count.bit_length() - 1)) + 1)
            m.d.sync += short.eq(Cat(Const(0), *(more % count < index for index in range(1, count))))
        with m.Elif(step):
            m.d.sync += rows.eq(rows - self.depth)
        for index, part in enumerate(self.slices):
            m.d.comb += [
                part.header.eq(self.header),
                part.start.eq(start),
                part.rows.eq(rows),
                part.short.eq(short[index]),
                part.step.eq(step),
            ]
        return named(m, rows <= self.depth, "last")

    def _round(self, m: Module, running: Value, step: Value, now: Value, wrong: Value) -> tuple[Value, Value, Value]:
        """Let slices decode: all that lack nothing, and the first of the others if there is a word.

        Returns
        -------
        starved, blamed, refused
            A slice lacks a word that the segment does not have; one before it is wrong in this round; one was wrong in
            the round before.
        """
        words, count = self.words, len(self.slices)
        done = Signal(count)  # slices that have decoded their symbol of the round
        decode = Signal(count)  # slices that do so now
        refused = named(m, running & ~done.any() & wrong.any(), "refused")
        begins = now | (self._all("next") & step.replicate(count))
        waiting = named(m, begins & ~done & (running & ~refused).replicate(count), "waiting")
        need = named(m, waiting & self._all("lacks"), "need")
        before = named(m, Cat(~need[:index].any() for index in range(count)), "before")  # of the first, or it
        take = named(m, need & before & words.some.replicate(count), "take")
        m.d.comb += [
            decode.eq(waiting & (~need | take)),
            words.take.eq(need.any() & words.some),
            words.round.eq(~done.any() & decode.any()),
        ]
        m.d.sync += done.eq((done | decode) & (need & ~take).any().replicate(count))
        for index, part in enumerate(self.slices):
            m.d.comb += [
                part.word.eq(words.word),
                part.decode.eq(decode[index]),
                part.take.eq(take[index]),
            ]
        starved = named(m, words.used_up & need.any() & now.any(), "starved")
        return starved, named(m, (wrong & before).any(), "blamed"), refused
