"""The datapath of the hardware GreedyNMS: a scan drops what the kept box overlaps, and finds the best of the rest."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data

from roundel.golden.nms import GreedyParams
from roundel.hw.lib import Component, In, Out, TwoPortMemory, delay, select
from roundel.hw.nms.overlap import BoxOverlap
from roundel.hw.nms.streams import corner_layout


class GreedyMemory(Component):
    """Four memories of a word per beat: corners and labels, areas, scores, and which places hold a box still left.

    Areas are computed as boxes are stored, so that a scan needs one multiplier per lane and not two. Everything that is
    read comes in the next cycle.
    """

    def __init__(self, params: GreedyParams):
        self.depth = params.capacity // params.lanes
        form, lanes = params.format, params.lanes
        box = data.StructLayout({"corners": corner_layout(form), "label": form.label_width})
        boxes, scores = data.ArrayLayout(box, lanes), data.ArrayLayout(form.score_width, lanes)
        beat = range(max(self.depth, 2))
        super().__init__(
            store=In(1, "Write a beat; its areas and `held` are written a cycle later."),
            store_beat=In(beat, "Number of the beat to write."),
            boxes=In(boxes, "Corners and labels to write."),
            scores=In(scores, "Scores to write."),
            held=In(lanes, "Places of the beat that hold a box."),
            read=In(1, "Read the boxes and areas of a beat."),
            read_beat=In(beat, "Number of that beat."),
            boxes_read=Out(boxes, "Corners and labels of that beat, in the next cycle."),
            areas_read=Out(data.ArrayLayout(2 * form.corner_width, lanes), "Areas of that beat, in the next cycle."),
            judge=In(1, "Read the scores of a beat, and which of its boxes are left."),
            judge_beat=In(beat, "Number of that beat."),
            scores_read=Out(scores, "Scores of that beat, in the next cycle."),
            left=Out(lanes, "Places of that beat whose boxes are left, in the next cycle."),
            drop=In(1, "Write which places are still left; never within two cycles of a `store`."),
            drop_beat=In(beat, "Number of that beat."),
            still_left=In(lanes, "Places of that beat whose boxes are still left."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        stored = delay(m, self.store, 1, "stored", reset=True)
        stored_beat = delay(m, self.store_beat, 1, "stored_beat")
        areas = Cat(self._area(m, lane) for lane in range(len(self.held)))
        left = Mux(self.drop, self.still_left, delay(m, self.held, 1, "held"))
        left_beat = Mux(self.drop, self.drop_beat, stored_beat)

        reading, judging = (self.read, self.read_beat), (self.judge, self.judge_beat)
        storing, following = (self.store, self.store_beat), (stored, stored_beat)
        for name, output, reader, writer, value in (
            ("box_words", self.boxes_read, reading, storing, self.boxes),
            ("area_words", self.areas_read, reading, following, areas),
            ("score_words", self.scores_read, judging, storing, self.scores),
            ("left_words", self.left, judging, (self.drop | stored, left_beat), left),
        ):
            m.submodules[name] = words = TwoPortMemory(width=len(Cat(output)), depth=self.depth)
            m.d.comb += [
                Cat(words.read_en, words.read_addr).eq(Cat(reader)),
                Cat(words.write_en, words.write_addr).eq(Cat(writer)),
                words.write_data.eq(value),
                Cat(output).eq(words.read_data),
            ]
        return m

    def _area(self, m: Module, lane: int) -> Value:
        """Of the box stored in the cycle before."""
        corners = self.boxes[lane].corners
        width, height = ((corners[f"{axis}2"] - corners[f"{axis}1"])[:-1] for axis in "xy")
        return delay(m, width, 1, f"width_{lane}") * delay(m, height, 1, f"height_{lane}")


_VERDICT = 2 + BoxOverlap.LATENCY  # cycles from a look until the overlap is known: memory, a register, the compare


class GreedyScan(Component):
    """Holds the boxes of an image and looks at a beat of them in every cycle.

    In what `look` looks at, the kept box and those of its class that it overlaps too much are dropped. The best box
    left in all beats is found, and `take` makes it the kept one.

    Parameters
    ----------
    params
        See `roundel.golden.nms.greedy.GreedyParams`.
    """

    TAKE_LATENCY = 3

    def __init__(self, params: GreedyParams):
        form = params.format
        self.params = params
        self.memory = GreedyMemory(params)
        self.lane_bits = (params.lanes - 1).bit_length()
        self.latency = _VERDICT + 1 + self.lane_bits
        self.best_layout = data.StructLayout({"score": form.score_width, "left": 1, "index": params.index_width})
        self.box_layout = self.memory.boxes.shape().elem_shape
        kept = {
            **self.box_layout.members,
            "area": 2 * form.corner_width,
            "score": form.score_width,
            "index": params.index_width,
        }
        super().__init__(
            beat=In(
                self.memory.store_beat.shape(),
                "Number of the beat to store or to look at. Looks go through an image from beat 0 on, one in every "
                "cycle.",
            ),
            store=In(1, "Write a beat of a new image: no box is kept."),
            boxes=In(self.memory.boxes.shape(), "Corners and labels to store."),
            scores=In(self.memory.scores.shape(), "Scores to store."),
            held=In(self.memory.held.shape(), "Places of the beat that hold a box."),
            look=In(1, "Look at a beat; may follow a `store` or a `take` in the next cycle."),
            busy=Out(1, "Looks are under way; each takes `latency` cycles."),
            found=Out(1, "A box is left; valid when not busy."),
            take=In(1, "Keep the box that was found; only when `found` and not busy."),
            kept=Out(
                data.StructLayout(kept),
                "The kept box with its area, score and index, from `TAKE_LATENCY` cycles after `take`.",
            ),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.memory = memory = self.memory
        flow = Signal(self.latency)  # bit k: there was a look k + 1 cycles ago
        m.d.sync += flow.eq(Cat(self.look, flow))

        best = Signal(self.best_layout, reset_less=True)
        m.d.comb += [
            *(getattr(memory, name).eq(getattr(self, name)) for name in ("store", "boxes", "scores", "held")),
            memory.store_beat.eq(self.beat),
            memory.read.eq(self.look | self.take),
            memory.read_beat.eq(Mux(self.take, best.index[self.lane_bits :], self.beat)),
            self.busy.eq(flow.any()),
            self.found.eq(best.left),
        ]
        # Block RAM is slow: what it gives goes into registers first.
        boxes = [data.View(self.box_layout, delay(m, Cat(box), 1, "box")) for box in memory.boxes_read]
        areas = [delay(m, area, 1, "area") for area in memory.areas_read]
        against = self._keep(m, best, boxes, areas)
        overlapped = [self._overlapped(m, *place) for place in zip(range(self.params.lanes), boxes, areas, strict=True)]
        candidate = self._best_of_beat(m, self._judge(m, flow, against, overlapped))
        with m.If(flow[-1] & _better(candidate, best)):
            m.d.sync += best.eq(candidate)
        return m

    def _keep(self, m: Module, best: data.View, boxes: list[data.View], areas: list[Value]) -> Value:
        """Make the best box the kept one; returns whether there is one."""
        against = Signal()
        with m.If(self.store):
            m.d.sync += [against.eq(0), best.left.eq(0)]
        kept, lane = Signal.like(self.kept, reset_less=True), best.index[: self.lane_bits]
        m.d.comb += self.kept.eq(kept)
        with m.If(delay(m, self.take, self.TAKE_LATENCY - 1, "take", reset=True)):
            m.d.sync += [
                Cat(kept.corners, kept.label).eq(select([Cat(box) for box in boxes], lane)),
                kept.area.eq(select(areas, lane)),
                kept.score.eq(best.score),
                kept.index.eq(best.index),
                best.left.eq(0),
                against.eq(1),
            ]
        return against

    def _overlapped(self, m: Module, lane: int, box: data.View, area: Value) -> Value:
        """Whether the kept box overlaps a box of its class too much, `_VERDICT` cycles after the look."""
        kept = self.kept
        m.submodules[f"overlap_{lane}"] = overlap = BoxOverlap(self.params.format, self.params.threshold)
        m.d.comb += [
            overlap.a.eq(kept.corners),
            overlap.area_a.eq(kept.area),
            overlap.b.eq(box.corners),
            overlap.area_b.eq(area),
        ]
        return overlap.exceeds & delay(m, box.label == kept.label, BoxOverlap.LATENCY, f"same_class_{lane}")

    def _judge(self, m: Module, flow: Value, against: Value, overlapped: list[Value]) -> list[data.View]:
        """Drop boxes; returns for each lane the box as a candidate for the best, a cycle later."""
        memory = self.memory
        beat = Signal.like(self.beat)
        with m.If(self.store | self.take):
            m.d.sync += beat.eq(0)
        with m.Elif(memory.judge):
            m.d.sync += beat.eq(beat + 1)
        judged = delay(m, beat, 1, "judged")
        candidates = []
        for lane, too_much in enumerate(overlapped):
            index = Cat(Const(lane, self.lane_bits), judged)[: self.params.index_width]
            still_left = memory.left[lane] & ~(against & (too_much | (index == self.kept.index)))
            candidate = delay(m, Cat(memory.scores_read[lane], still_left, index), 1, "candidate")
            candidates.append(data.View(self.best_layout, candidate))
        m.d.comb += [
            memory.judge.eq(flow[_VERDICT - 2]),
            memory.judge_beat.eq(beat),
            memory.drop.eq(flow[_VERDICT]),
            memory.drop_beat.eq(candidates[0].index[self.lane_bits :]),
            memory.still_left.eq(Cat(candidate.left for candidate in candidates)),
        ]
        return candidates

    def _best_of_beat(self, m: Module, candidates: list[data.View]) -> data.View:
        """Find the best of all lanes: a tree of comparisons, a register after each level."""
        while len(candidates) > 1:
            pairs = zip(candidates[::2], candidates[1::2], strict=True)
            winners = (Mux(_better(high, low), Cat(high), Cat(low)) for low, high in pairs)
            words = [delay(m, winner, 1, "winner") for winner in winners]
            candidates = [data.View(self.best_layout, word) for word in words]
        return candidates[0]


def _better(first: data.View, second: data.View) -> Value:
    """Whether only the first box is left, or its score is higher; equal scores leave the box of the lower index."""
    return Cat(first.score, first.left) > Cat(second.score, second.left)
