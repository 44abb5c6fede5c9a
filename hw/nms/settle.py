"""Suppression of boxes that come in the order of their scores, one a cycle: which of them are kept."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFOBuffered

from roundel.golden.nms import ExactParams
from roundel.hw.lib import Component, In, Out, TwoPortMemory, delay
from roundel.hw.nms.digit_sort import sort_stream
from roundel.hw.nms.filing import BoxCodes, ranked_layout
from roundel.hw.nms.kept import KeptBoxes, solid_layout
from roundel.hw.nms.passes import Passes
from roundel.hw.nms.unsettled import TAG, Unsettled

FLIGHT = KeptBoxes.LATENCY  # boxes that were looked up and have no verdict
QUEUE = 16  # boxes kept that may wait for a reader
NOTED = 16  # boxes whose scores and codes wait for their verdict

assert FLIGHT == 3 + Unsettled.COUNT
assert NOTED > BoxCodes.LATENCY + FLIGHT


class Settle(Component):
    """Keeps a box unless a box kept before overlaps it too much, of the boxes of an image in the order of their scores.

    A box is looked up in the file of kept boxes, and compared with its candidates there, see `KeptBoxes`. Boxes before
    it that have no verdict when its last candidates are picked are compared with it, too, each by a comparator of its
    own. When its verdict is due theirs are known: it is kept if nothing hit it, and none of those that overlap it too
    much was kept. This takes one cycle, so boxes go on in every cycle in which none has candidates left.

    The file is cleared when the last box of an image is in the stage of the last candidates; the next image is looked
    up after that.

    Parameters
    ----------
    params
        The unit.
    """

    LATENCY = BoxCodes.LATENCY + FLIGHT + 2

    def __init__(self, params: ExactParams):
        self.params = params
        flags = dict.fromkeys(("empty", "last", "waits"), 1)
        self.flags, self.early = data.StructLayout(flags), data.StructLayout(flags | {"tag": TAG})
        self.slot = data.StructLayout({"box": solid_layout(params), "tag": TAG, "first": 1, "final": 1} | flags)
        self.beat = sort_stream(ranked_layout(params))
        super().__init__(
            inputs=In(self.beat, "Boxes of an image, the best first."),
            outputs=Out(self.beat, "Boxes kept, the best first; `last` comes with a box, or in an empty beat."),
            moving=Out(1, "A box is looked up."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params = self.params
        m.submodules.passes = passes = Passes(params, BoxCodes.LATENCY + FLIGHT + 1)
        m.submodules.coder = coder = BoxCodes(params, self.flags)
        m.submodules.kept = kept = KeptBoxes(params)
        m.submodules.unsettled = unsettled = Unsettled(params)
        sent = self.outputs.p.shape()
        m.submodules.queue = queue = SyncFIFOBuffered(width=sent.size, depth=QUEUE)
        self._join(m, passes, coder, queue)
        room, loads, tag, clear = Signal(), Signal(), Signal(TAG), Signal()
        m.d.sync += [room.eq(queue.w_level <= QUEUE - FLIGHT - 3), tag.eq(tag + clear)]
        valid, early, slots = self._slots(m, passes, coder, kept, loads, tag)
        ending = [held & slot.last & ~slot.waits for held, slot in zip(valid, early, strict=False)]
        following, beat, goes = coder.outputs, coder.outputs.p.beat, Signal()
        m.d.comb += [
            goes.eq(kept.step & room & ~Cat(ending).any()),
            loads.eq(following.valid & goes),
            following.ready.eq(goes),
            clear.eq(passes.settled | (ending[1] & kept.step)),
            kept.clear.eq(clear),
            kept.ask.eq(loads & ~beat.empty),
            passes.count.eq(kept.count),
            self.moving.eq(loads),
        ]
        self._compare(m, coder, kept, unsettled, slots)
        due = valid[-2] & slots[-2].final
        given = passes.outputs.p.box
        sends = coder.inputs.valid & coder.inputs.ready
        score = self._note(m, "scores", Cat(given.score, given.index), sends, due)
        codes = self._note(m, "codes", following.p.codes.as_value(), loads, due)
        self._verdict(m, passes, kept, unsettled, queue, slots[-1], valid[-1], score, codes, tag)
        return m

    def _join(self, m: Module, passes: Passes, coder: BoxCodes, queue: SyncFIFOBuffered) -> None:
        """Lead boxes through the passes to their codes, and those kept from the queue to the output."""
        m.d.comb += [
            passes.inputs.valid.eq(self.inputs.valid),
            passes.inputs.p.eq(self.inputs.p),
            self.inputs.ready.eq(passes.inputs.ready),
            coder.inputs.valid.eq(passes.outputs.valid),
            *(coder.inputs.p.beat[name].eq(passes.outputs.p[name]) for name in ("empty", "last", "waits")),
            coder.inputs.p.corners.eq(passes.outputs.p.box.corners),
            passes.outputs.ready.eq(coder.inputs.ready),
            self.outputs.valid.eq(queue.r_rdy),
            self.outputs.p.eq(queue.r_data),
            queue.r_en.eq(self.outputs.ready),
        ]

    def _slots(
        self, m: Module, passes: Passes, coder: BoxCodes, kept: KeptBoxes, loads: Value, tag: Value
    ) -> tuple[list[Value], list[data.View], list[data.View]]:
        """Return which slots hold a box, and what they hold: the first two, and those from the last candidates on.

        What is compared of a box waits in memories while it is in the first slots. A box with many candidates is in
        several of the others, of which the `first` and the `final` one are marked.
        """
        valid = [Signal(name=f"held_{number}") for number in range(FLIGHT)]
        early = [Signal(self.early, name=f"early_{number}", reset_less=True) for number in range(3)]
        first, settling = Signal(), Signal(self.slot, name="settling")
        slots = [settling, *(Signal(self.slot, name=f"slot_{number}", reset_less=True) for number in range(3, FLIGHT))]
        beat, given = coder.outputs.p.beat, passes.outputs.p.box
        sends, moves = coder.inputs.valid & coder.inputs.ready, kept.step & valid[1]
        solid = self._note(m, "solids", Cat(given.corners, given.label), sends, moves)
        area = self._note(m, "areas", coder.area, coder.measured, moves)
        m.d.sync += first.eq(kept.step)
        with m.If(kept.step):
            m.d.sync += [
                Cat(valid[:3]).eq(Cat(loads, valid[:2])),
                *(early[0][name].eq(beat[name]) for name in ("empty", "last", "waits")),
                early[0].tag.eq(tag),
                Cat(early[1:]).eq(Cat(early[:-1])),
            ]
        m.d.comb += [
            Cat(settling.box.corners, settling.box.label).eq(solid),
            settling.box.area.eq(area),
            *(settling[name].eq(early[2][name]) for name in ("tag", "empty", "last", "waits")),
            Cat(settling.first, settling.final).eq(Cat(first, kept.step)),
        ]
        m.d.sync += [Cat(valid[3:]).eq(Cat(valid[2:-1])), Cat(slots[1:]).eq(Cat(slots[:-1]))]
        return valid, early[:2], slots

    def _compare(
        self, m: Module, coder: BoxCodes, kept: KeptBoxes, unsettled: Unsettled, slots: list[data.View]
    ) -> None:
        """Compare boxes with those that are filed, and with those that have no verdict yet."""
        following = coder.outputs.p
        m.d.comb += [
            Cat(kept.codes, kept.bounds).eq(Cat(following.codes, following.bounds)),
            *(box.eq(slot.box) for box, slot in zip(kept.boxes, slots[:2], strict=True)),
            Cat(unsettled.box.box, unsettled.box.tag).eq(Cat(slots[0].box, slots[0].tag)),
        ]
        for before, slot in zip(unsettled.before, slots[1:], strict=True):
            m.d.comb += Cat(before.box, before.tag).eq(Cat(slot.box, slot.tag))

    def _note(self, m: Module, name: str, word: Value, writes: Value, due: Value) -> Value:
        """Keep what is needed later of each box in a small memory; returns that of the box that was `due`."""
        m.submodules[name] = memory = TwoPortMemory(width=len(word), depth=NOTED)
        write, read = Signal(range(NOTED)), Signal(range(NOTED))
        m.d.comb += [
            Cat(memory.write_en, memory.write_addr).eq(Cat(writes, write)),
            memory.write_data.eq(word),
            Cat(memory.read_en, memory.read_addr).eq(Cat(due, read)),
        ]
        m.d.sync += [write.eq(write + writes), read.eq(read + due)]
        return memory.read_data

    def _verdict(
        self,
        m: Module,
        passes: Passes,
        kept: KeptBoxes,
        unsettled: Unsettled,
        queue: SyncFIFOBuffered,
        slot: data.View,
        valid: Value,
        score: Value,
        codes: Value,
        tag: Value,
    ) -> None:
        """Keep a box, file and send it; or leave it for another pass, as the file is full; or drop it."""
        dropped, before, due, alive, keep = Signal(), Signal(), Signal(), Signal(), Signal()
        first_hit = delay(m, kept.hits[0], 1, "first_hit")
        stale = Signal()  # of a pass whose file is gone, which had room for all
        ends = Signal()  # the image is at its end
        limited = self._limited(m, keep, ends)
        full = ~stale & (kept.count == self.params.slots)
        m.d.comb += [
            dropped.eq(kept.hits[1] | Mux(slot.first, unsettled.blocked | first_hit, before)),
            due.eq(valid & slot.final),
            alive.eq(due & ~slot.empty & ~dropped & ~limited),
            stale.eq(slot.tag != tag),
            keep.eq(alive & ~full),
            unsettled.keep.eq(keep),
            kept.file.eq(keep & ~stale),
            kept.filed.eq(slot.box),
            kept.filed_codes.eq(codes),
            passes.leave.eq(alive & full),
            passes.settled.eq(due & slot.last & slot.waits),
            ends.eq(due & slot.last & ~(slot.waits & passes.again)),
        ]
        with m.If(valid):
            m.d.sync += before.eq(dropped)
        sent = Signal(self.outputs.p.shape())
        m.d.comb += [
            Cat(sent.box.corners, sent.box.label).eq(Cat(slot.box.corners, slot.box.label)),
            Cat(sent.box.score, sent.box.index).eq(score),
            Cat(sent.empty, sent.last).eq(Cat(~keep, ends)),
            passes.left.eq(sent.box),
            queue.w_data.eq(sent),
            queue.w_en.eq(keep | ends),
        ]

    def _limited(self, m: Module, keep: Value, ends: Value) -> Value | int:
        """Whether the image has all the boxes that it may keep."""
        most = self.params.max_detections
        if most is None:
            return 0
        found = Signal(range(most + 1))
        m.d.sync += found.eq(Mux(ends, 0, found + keep))
        return found == most
