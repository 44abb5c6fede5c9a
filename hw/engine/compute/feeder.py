"""The feeder: beats of activations for the array, in the order of the steps of a COMPUTE descriptor."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring

from roundel.golden.engine import EngineParams, Opcode
from roundel.hw.engine.compute.row_beats import FeedBeats, FeedRows
from roundel.hw.engine.compute.tile_steps import BORDER, FeedSteps, FeedTiles
from roundel.hw.engine.memory import ActivationMemory
from roundel.hw.engine.ports import beat_layout, feed_port, step_layout, unit_port, words_of
from roundel.hw.lib import Component, In, Out, SmallFifo, delay


class Border(Component):
    """Compares the lanes' bytes with a row's ends. One beat a cycle; it never waits.

    Parameters
    ----------
    lanes
        Bytes of a beat, a power of two.
    """

    LATENCY = 2

    def __init__(self, lanes: int):
        self.lanes = lanes
        super().__init__(
            byte=In(BORDER, "Byte of lane 0 in its row."),
            inside=In(1, "The row is one of the map."),
            row_bytes=In(16, "Bytes of a row."),
            outside=Out(lanes, "Lanes beyond the ends of the row, `LATENCY` cycles later."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        inside = Signal(reset_less=True)
        left = Signal(BORDER, reset_less=True)  # lane 0, counted from the left end
        right = Signal(BORDER.width + 1, reset_less=True)  # the right end, counted from lane 0: two's complement
        m.d.sync += [inside.eq(self.inside), left.eq(self.byte), right.eq(self.row_bytes - self.byte)]
        m.d.sync += self.outside.eq(~inside.replicate(self.lanes) | self._before(left) | self._behind(right))
        return m

    def _before(self, left: Value) -> Value:
        """Lanes before the left end: left + lane < 0."""
        bits = self.lanes.bit_length() - 1
        low, near, negative = left[:bits], left[bits:].all(), left[-1]
        return Cat(negative & (~near | (low < self.lanes - lane)) for lane in range(self.lanes))

    def _behind(self, right: Value) -> Value:
        """Lanes behind the right end: lane >= right."""
        bits = self.lanes.bit_length() - 1
        low, near, negative = right[:bits], ~right[bits:].any(), right[-1]
        return Cat(negative | near & (low <= lane) for lane in range(self.lanes))


CREDITS = 8
"""Beats that may be on their way from the memory or wait for the array."""


class Feeder(Component):
    """Walks tiles, blocks, steps, rows and beats as docs/engine.md says. One beat every cycle, whatever their sizes.

    A chain of `FeedTiles`, `FeedSteps`, `FeedRows`, `FeedBeats`, each of which holds what comes next in a register
    while the one behind it works on the present one; then the memory, and beside it the comparison with the borders.
    Requests are made only while there is room for their data, so that an array that stands loses nothing.

    In cycles, with an array and a memory that are always ready and steps that are always there:

    - the first beat is offered `fill` cycles after `start` (4 until its request, `latency`, 2 through the FIFO);
    - then one in every cycle, so that a step takes `h * (lead + (w - 1) * every + 1)` and at least one;
    - a step that is offered late has its first beat offered `fill - 1` cycles after it was taken;
    - `done` comes in the cycle after the last beat was taken, and `start` may come in the next.

    Parameters
    ----------
    params
        See `roundel.golden.engine.params.EngineParams`.
    latency
        Cycles from a request to its data, 2 to 5.

    Attributes
    ----------
    fill
        Cycles from `start` to the first beat.
    """

    def __init__(self, params: EngineParams, *, latency: int = ActivationMemory.FEED_LATENCY):
        assert 2 <= latency <= CREDITS - 3, latency
        self.params, self.latency = params, latency
        self.fill = 4 + latency + 2
        super().__init__(
            unit=In(
                unit_port(Opcode.COMPUTE, **words_of(params)),
                "The unit's descriptor; it stands still from `start` to `done`. An `every` of 0 means 16; other sizes "
                "of 0 count modulo their widths. Rows of the map and bytes of a row count modulo 2**18.",
            ),
            steps=In(
                stream.Signature(step_layout(params)),
                "Steps of all blocks of the first tile, then those of the next; in a layer with `wide_steps` the "
                "selector of each behind it.",
            ),
            memory=Out(feed_port(params), "Reads `lanes` bytes of the activation memory."),
            beats=Out(stream.Signature(beat_layout(params)), "Beats of activations, for the array."),
            waiting_step=Out(1, "There is no beat, nor one on its way, for want of a step."),
            waiting_memory=Out(1, "A request waits for the memory."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.tiles = tiles = FeedTiles(self.params)
        m.submodules.per_step = steps = FeedSteps(self.params)
        m.submodules.rows = rows = FeedRows(self.params)
        m.submodules.points = points = FeedBeats(self.params)
        for part in (tiles, steps, rows, points):
            m.d.comb += part.descriptor.eq(self.unit.descriptor)
        for part in (tiles, steps):
            m.d.comb += part.start.eq(self.unit.start)
        wiring.connect(m, tiles.tiles, steps.tiles)
        owed = self._steps(m, steps)
        wiring.connect(m, steps.begins, rows.begins)
        wiring.connect(m, rows.rows, points.rows)

        used = Signal(range(CREDITS + 1))
        issue = self._request(m, points.points, used, owed)
        m.d.sync += used.eq(used + issue - (self.beats.valid & self.beats.ready))
        self._answer(m, points.points.p, issue)

        chain = (steps.begins.valid, rows.rows.valid, points.points.valid)
        empty = Signal()
        m.d.comb += [
            empty.eq(~Cat(chain).any() & (used == 0)),
            self.unit.done.eq(self.unit.busy & empty & ~tiles.tiles.valid),
            self.waiting_step.eq(empty & tiles.tiles.valid & ~self.steps.valid),
        ]
        with m.If(self.unit.start | self.unit.done):
            m.d.sync += self.unit.busy.eq(self.unit.start)
        return m

    def _steps(self, m: Module, steps: FeedSteps) -> Value | None:
        """Lead steps to their unit, and what follows each of them in a layer with `wide_steps` to the memory.

        A selector waits where steps do until the first beat that needs it is read. Whether it is there.
        """
        if not self.params.select:
            wiring.connect(m, wiring.flipped(self.steps), steps.steps)
            return None
        inner, taken, owed = steps.steps, self.memory.selector_taken, Signal(name="selector_owed")
        m.d.comb += [
            inner.valid.eq(self.steps.valid & ~owed),
            inner.p.eq(self.steps.p),
            self.steps.ready.eq(Mux(owed, taken, inner.ready)),
            self.memory.selector.eq(self.steps.p.as_value()),
        ]
        with m.If(inner.valid & inner.ready):
            m.d.sync += owed.eq(self.unit.descriptor.wide_steps)
        with m.Elif(taken):
            m.d.sync += owed.eq(0)
        return owed & self.steps.valid

    def _request(self, m: Module, points: stream.Interface, used: Value, selector: Value | None) -> Signal:
        """Ask for the lanes of a point while there is room, and a selector if it needs one; whether it happens."""
        room, issue = Signal(), Signal()
        request, layer, free = self.memory.request, self.unit.descriptor, used != CREDITS
        if self.params.beat_words > 1:
            m.d.comb += [request.p.others.eq(points.p.others), request.p.apart.eq(layer.word_step)]
        if selector is not None:
            swap = points.p.fresh & layer.wide_steps
            m.d.comb += [request.p.swap.eq(swap), request.p.select.eq(layer.wide_steps)]
            m.d.comb += request.p.split.eq(layer.split)
            free &= ~swap | selector
        m.d.comb += [
            room.eq(free),
            request.valid.eq(points.valid & room),
            request.p.address.eq(points.p.address),
            request.p.near.eq(points.p.near),
            points.ready.eq(request.ready & room),
            issue.eq(request.valid & request.ready),
            self.waiting_memory.eq(request.valid & ~request.ready),
        ]
        return issue

    def _answer(self, m: Module, point: data.View, issue: Value) -> None:
        """Pad and flip data as they come, and join them with what was known when they were asked for."""
        m.submodules.border = border = Border(self.params.lanes)
        m.submodules.fifo = fifo = SmallFifo(beat_layout(self.params), depth=CREDITS)
        asked, beat = Signal(beat_layout(self.params)), fifo.inputs.p
        names = [name for name in asked.shape().members if name not in ("data", "others")]
        swaps = {"swap": point.fresh & ~point.keep, "swap_params": point.fresh & point.first}
        m.d.comb += [asked[name].eq(swaps[name] if name in swaps else point[name]) for name in names]

        descriptor = self.unit.descriptor
        m.d.comb += [
            border.byte.eq(point.byte),
            border.inside.eq(point.inside),
            border.row_bytes.eq(descriptor.row_bytes),
            fifo.inputs.valid.eq(delay(m, issue, self.latency, "issued", reset=True)),
            Cat(beat[name] for name in names).eq(delay(m, Cat(asked[name] for name in names), self.latency, "asked")),
        ]
        self._others(m, point, beat)
        outside = delay(m, border.outside, self.latency - border.LATENCY, "outside")
        flip = descriptor.flip_source << 7
        for lane in range(self.params.lanes):
            byte = self.memory.data.word_select(lane, 8)
            m.d.comb += beat.data[lane].eq(Mux(outside[lane], descriptor.pad, byte) ^ flip)
        wiring.connect(m, fifo.outputs, wiring.flipped(self.beats))

    def _others(self, m: Module, point: data.View, beat: data.View) -> None:
        """Pad and flip the words behind the first. They begin where a word does: all lanes are in the row, or none."""
        layer = self.unit.descriptor
        for number in range(self.params.beat_words - 1):
            there = point.others_inside[number] & (point.byte >= 0) & (point.byte < layer.row_bytes)
            inside = delay(m, there, self.latency, f"other_inside_{number}")
            for lane in range(self.params.lanes):
                byte = self.memory.others[number].word_select(lane, 8)
                m.d.comb += beat.others[number][lane].eq(Mux(inside, byte, layer.pad) ^ (layer.flip_source << 7))
