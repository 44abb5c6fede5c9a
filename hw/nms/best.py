"""The best boxes of an image by their scores: checked, sorted by lists, and sorted again with those that follow."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring

from roundel.golden.nms import TopKParams
from roundel.hw.lib import Component, In, Out
from roundel.hw.nms.digit_sort import DigitSort, sort_stream
from roundel.hw.nms.filing import ranked_layout
from roundel.hw.nms.streams import BoxCheck, boxes_in, error_layout


class BestBoxes(Component):
    """Sorts the boxes of an image by their scores and sends the best, image after image, at a box a cycle.

    Boxes are sorted by the digits of their scores, the lowest first, in a sorter each. A sorter sends an image while
    the next one comes in. If an image has more boxes than can be sorted together, those that came so far are sorted,
    and the best `capacity` come back as the first boxes of what is sorted next: so they stay before later boxes of the
    same scores. From then on, boxes that are no better than the last of them are dropped as they come.

    To sort `held` boxes before the end of an image takes a cycle for each of them and sorter but the last, one for each
    box that comes back, and `latency`. Boxes of no use take a cycle, as they do without any of that.

    Malformed boxes and boxes beyond `candidates` are dropped, and reported on `error` one cycle after their beat.

    Parameters
    ----------
    params
        See `TopKParams`.

    Attributes
    ----------
    latency
        The best box of an image of n boxes that are sorted together comes `latency` cycles after the last one was
        taken, and n - 1 cycles more for every sorter but the first.
    """

    def __init__(self, params: TopKParams):
        self.params = params
        box, low = ranked_layout(params), 0
        self.sorters: list[DigitSort] = []
        for number, width in enumerate(params.digits):
            final = params.selects and number == len(params.digits) - 1
            self.sorters.append(DigitSort(box, low, width, params.held, params.capacity if final else None))
            low += width
        self.latency = DigitSort.LATENCY * len(self.sorters)
        super().__init__(
            inputs=In(boxes_in(params.format, 1, params.tag_width), "Boxes of an image, one a beat."),
            outputs=Out(sort_stream(box), "Its best boxes, the best first; one empty beat for an image without boxes."),
            error=Out(error_layout(1, params.candidates), "Faults of a beat, one cycle after it."),
            moving=Out(1, "A box leaves a sorter."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for number, sorter in enumerate(self.sorters):
            m.submodules[f"sort_{number}"] = sorter
            if number:
                wiring.connect(m, self.sorters[number - 1].outputs, sorter.inputs)
        leaving = (sorter.outputs.valid & sorter.outputs.ready for sorter in self.sorters)
        m.d.comb += self.moving.eq(Cat(leaving).any())
        beat = Signal(self.outputs.p.shape())
        if self.params.selects:
            self._select(m, beat)
        else:
            sink, sent = self.sorters[0].inputs, self.sorters[-1].outputs
            m.d.comb += [
                sink.valid.eq(self.inputs.valid),
                sink.p.eq(beat),
                self.inputs.ready.eq(sink.ready),
            ]
            wiring.connect(m, sent, wiring.flipped(self.outputs))
        self._check(m, beat)
        return m

    def _check(self, m: Module, beat: data.View) -> None:
        """Give boxes their indices; malformed ones and those beyond the candidates are empty, and reported."""
        params, box = self.params, self.inputs.p.boxes[0]
        m.submodules.check = check = BoxCheck(params.format)
        index, beyond, taken = Signal(range(params.candidates + 1)), Signal(), Signal()
        m.d.comb += [
            *(check.box[name].eq(box[name]) for name in check.box.shape().members),
            beyond.eq(index == params.candidates),
            taken.eq(self.inputs.valid & self.inputs.ready),
            beat.last.eq(self.inputs.p.last),
            beat.empty.eq(box.empty | check.malformed | beyond),
            beat.box.corners.eq(check.corners),
            beat.box.index.eq(box.tag if params.tag_width else index),
            *(beat.box[name].eq(box[name]) for name in ("score", "label")),
        ]
        m.d.sync += self.error.eq(0)
        with m.If(taken):
            m.d.sync += index.eq(Mux(self.inputs.p.last, 0, Mux(beyond, index, index + 1)))
        with m.If(taken & Mux(beyond, ~box.empty, check.malformed)):
            m.d.sync += Cat(self.error).eq(Cat(~beyond, beyond, index))

    def _select(self, m: Module, beat: data.View) -> None:
        """Lead boxes to the sorters; what is sorted goes back there, or on if the image has ended."""
        sink, sent, source = self.sorters[0].inputs, self.sorters[-1].outputs, self.inputs
        turns, back = Signal(), Signal()  # the boxes of an image are sorted before its end; those sent come back
        count, ahead = Signal(range(self.params.held + 1)), Signal(range(4 * len(self.sorters) + 1))
        known, least, full, useless = Signal(), Signal(self.params.format.score_width), Signal(), Signal()
        m.d.comb += [
            full.eq(count == self.params.held),
            useless.eq(beat.empty | (known & (beat.box.score <= least))),
            back.eq(turns & (ahead == 0)),
            source.ready.eq(sink.ready & ~turns & ~full),
            sink.valid.eq(Mux(turns, back & sent.valid, full | source.valid)),
            sink.p.box.eq(Mux(turns, sent.p.box, beat.box)),
            sink.p.empty.eq(~turns & (full | useless)),
            sink.p.last.eq(~turns & (full | beat.last)),
            self.outputs.valid.eq(sent.valid & ~back),
            self.outputs.p.eq(sent.p),
            sent.ready.eq(Mux(back, sink.ready, self.outputs.ready)),
        ]
        entered, ended = Signal(), Signal()
        left = self.outputs.valid & self.outputs.ready & sent.p.last
        m.d.comb += [entered.eq(sink.valid & sink.ready), ended.eq(entered & sink.p.last)]
        m.d.sync += ahead.eq(ahead + (ended & ~full) - left)  # images that have ended and are being sorted
        with m.If(ended):
            m.d.sync += [count.eq(0), turns.eq(full), known.eq(known & full)]
        with m.Elif(entered & ~sink.p.empty):
            m.d.sync += count.eq(count + 1)
        with m.If(entered & turns & sent.p.last):
            m.d.sync += [turns.eq(0), known.eq(1), least.eq(sent.p.box.score)]
