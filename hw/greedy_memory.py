"""Where the hardware GreedyNMS keeps the boxes of an image."""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from golden.greedy_nms import GreedyParams
from hw.box_stream import corner_layout
from hw.delay import delay
from hw.two_port_memory import TwoPortMemory


class GreedyMemory(wiring.Component):
    """Four memories of a word per beat: corners and labels, areas, scores, and which places hold a box still left.

    Areas are computed as boxes are stored, so that a scan needs one multiplier per lane and not two. Everything that is
    read comes in the next cycle.

    Members
    -------
    store : In(1), store_beat : In, boxes : In, scores : In, held : In(lanes)
        Write a beat; `boxes` are corners and labels. Areas and `held` are written a cycle later.
    read : In(1), read_beat : In, boxes_read : Out, areas_read : Out
    judge : In(1), judge_beat : In, scores_read : Out, left : Out(lanes)
    drop : In(1), drop_beat : In, still_left : In(lanes)
        Write which places are still left; never within two cycles of a `store`.
    """

    def __init__(self, params: GreedyParams):
        self.depth = params.capacity // params.lanes
        form, lanes = params.format, params.lanes
        box = data.StructLayout({"corners": corner_layout(form), "label": form.label_width})
        boxes, scores = data.ArrayLayout(box, lanes), data.ArrayLayout(form.score_width, lanes)
        beat = In(range(max(self.depth, 2)))
        super().__init__(
            {
                "store": In(1),
                "store_beat": beat,
                "boxes": In(boxes),
                "scores": In(scores),
                "held": In(lanes),
                "read": In(1),
                "read_beat": beat,
                "boxes_read": Out(boxes),
                "areas_read": Out(data.ArrayLayout(2 * form.corner_width, lanes)),
                "judge": In(1),
                "judge_beat": beat,
                "scores_read": Out(scores),
                "left": Out(lanes),
                "drop": In(1),
                "drop_beat": beat,
                "still_left": In(lanes),
            }
        )

    def elaborate(self, platform):
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

    def _area(self, m, lane):
        """Of the box stored in the cycle before."""
        corners = self.boxes[lane].corners
        width, height = ((corners[f"{axis}2"] - corners[f"{axis}1"])[:-1] for axis in "xy")
        return delay(m, width, 1, f"width_{lane}") * delay(m, height, 1, f"height_{lane}")
