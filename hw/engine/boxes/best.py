"""The best class of every location of a detector head."""

from itertools import pairwise
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream

from roundel.golden.engine import EngineParams, Opcode
from roundel.golden.head import MAX_CLASSES
from roundel.hw.engine.ports import descriptor_layout, word
from roundel.hw.engine.reader import tagged
from roundel.hw.lib import Component, In, Out

SIDES = 4  # left, top, right, bottom: the lowest bytes of a location's distances


def location_layout() -> data.StructLayout:
    """Return a location: best logit, as an unsigned byte in the order of the logits; its class; distances."""
    label = unsigned((MAX_CLASSES - 1).bit_length())
    return data.StructLayout({"rank": 8, "label": label, "distances": data.ArrayLayout(8, SIDES)})


def logit_of(rank: Value, head: data.View) -> Value:
    """Return the logit that a rank stands for, signed."""
    top = rank[7] ^ head.cls_signed
    return Cat(rank[:7], top, top & head.cls_signed).as_signed()


def score_of(logit: Value, head: data.View, width: int) -> Value:
    """Return the score of a logit, in so many bits."""
    score = (logit << head.score_shift[:3])[:width]
    return score ^ (head.cls_signed << (width - 1))


def greater(first: data.View, second: data.View) -> Value:
    """Return the place of the greater rank; the first of equals, and of those that exist."""
    wins = Cat(second.rank, second.exists) > Cat(first.rank, first.exists)
    return Mux(wins, second.as_value(), first.as_value())


class BestClass(Component):
    """The greatest logit of the words of a location and its class, the lowest of equals. One word a cycle.

    A tree over a word's lanes with a register behind every level, then the best of the words so far: a location is
    offered `latency` cycles after its distances came.

    Parameters
    ----------
    params
        The engine's.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        self.levels = params.lanes.bit_length() - 1
        self.latency = self.levels
        self.place = data.StructLayout({"rank": 8, "exists": 1, "lane": self.levels})  # of a word
        super().__init__(
            start=In(1, "A scale begins; no word is on its way."),
            descriptor=In(descriptor_layout(Opcode.BOXES), "The descriptor of the scale."),
            words=In(
                stream.Signature(tagged(word(params))), "Words of the locations; those with a mark are distances."
            ),
            locations=Out(stream.Signature(location_layout()), "A location for every word with a mark."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        advance = Signal()
        beat = data.StructLayout({"valid": 1, "mark": 1, "distances": 8 * SIDES})
        stages = [Signal(beat, name=f"stage_{level}") for level in range(self.levels + 1)]
        m.d.comb += [
            self.words.ready.eq(advance),
            stages[0].valid.eq(self.words.valid),
            stages[0].mark.eq(self.words.p.mark),
            stages[0].distances.eq(self.words.p.value),
        ]
        places = self._places(m, advance)
        for level, (before, stage) in enumerate(pairwise(stages)):
            places = [
                self._better(m, pair, advance, f"best_{level}_{number}")
                for number, pair in enumerate(zip(places[::2], places[1::2], strict=True))
            ]
            with m.If(advance):
                m.d.sync += stage.eq(before)
        self._compare(m, stages[-1], places[0], advance)
        return m

    def _places(self, m: Module, advance: Value) -> list[data.View]:
        """Return the logits of a word, as many as there are classes left."""
        boxes, lanes = self.descriptor, self.params.lanes
        left = Signal(len(boxes.classes), reset_less=True)  # classes, this word's included
        with m.If(self.start | (self.words.valid & advance & self.words.p.mark)):
            m.d.sync += left.eq(boxes.classes)
        with m.Elif(self.words.valid & advance):
            m.d.sync += left.eq(left - lanes)
        places = []
        for lane in range(lanes):
            place = Signal(self.place, name=f"lane_{lane}")
            byte = self.words.p.value.word_select(lane, 8)
            m.d.comb += [
                place.lane.eq(lane),
                place.rank.eq(Cat(byte[:7], byte[7] ^ boxes.cls_signed)),
                place.exists.eq(left > lane),
            ]
            places.append(place)
        return places

    def _better(self, m: Module, pair: tuple[data.View, data.View], advance: Value, name: str) -> data.View:
        """Return the greater of two, registered; the first of equals."""
        better = Signal(self.place, name=name, reset_less=True)
        with m.If(advance):
            m.d.sync += better.eq(greater(*pair))
        return better

    def _compare(self, m: Module, beat: data.View, place: data.View, advance: Value) -> None:
        """Keep the best of all words of a location."""
        best, word_number = Signal(location_layout(), reset_less=True), Signal(8)
        fresh, ends = Signal(init=1), beat.valid & beat.mark
        with m.If(advance & beat.valid):
            m.d.sync += [fresh.eq(beat.mark), word_number.eq(Mux(beat.mark, 0, word_number + 1))]
            with m.If(~beat.mark & (fresh | (place.exists & (place.rank > best.rank)))):
                m.d.sync += [best.rank.eq(place.rank), best.label.eq(Cat(place.lane, word_number))]
        m.d.comb += [
            advance.eq(~ends | self.locations.ready),
            self.locations.valid.eq(ends),
            self.locations.p.rank.eq(best.rank),
            self.locations.p.label.eq(best.label),
            self.locations.p.distances.eq(beat.distances),
        ]
