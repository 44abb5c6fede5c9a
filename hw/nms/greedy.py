"""GreedyNMS in hardware, the straightforward way: the baseline that PSRR-MaxpoolNMS is measured against."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from roundel.golden.nms import Form, GreedyParams
from roundel.hw.lib import Component, In, Out, delay
from roundel.hw.nms.greedy_scan import GreedyScan
from roundel.hw.nms.streams import BoxCheck, boxes_in, boxes_out, error_layout


class GreedyNms(Component):
    """Keeps the best box left, drops those of its class that it overlaps too much, until none is left.

    One beat of an image is loaded per cycle; then every kept box costs a scan of the image, and the end one more. A
    scan of n beats takes `n + scan_overhead` cycles. Boxes come out one per beat, the best first, each while the next
    scan runs; `last` comes in a beat of its own, without a box. The next image is taken when the last scan is done. A
    sink that stalls for less than a scan costs nothing.

    Malformed boxes and boxes beyond the capacity are dropped, and reported on `error` one cycle after their beat.

    Parameters
    ----------
    params
        See `roundel.golden.nms.greedy.GreedyParams`.

    Attributes
    ----------
    latency
        The first box of an image of n beats comes `n + latency` cycles after its last beat, if any is kept.
    scan_overhead
        Cycles of a scan beside one for each beat.
    """

    def __init__(self, params: GreedyParams):
        self.params = params
        self.scan = GreedyScan(params)
        self.scan_overhead = self.scan.latency + 1
        self.latency = self.scan_overhead + GreedyScan.TAKE_LATENCY
        super().__init__(
            inputs=In(boxes_in(params.format, params.lanes), "Boxes of an image, `last` with its last beat."),
            outputs=Out(
                boxes_out(params.format, 1, params.index_width),
                "Boxes kept, one a beat, the best first; `last` in a beat of its own, without a box.",
            ),
            error=Out(error_layout(params.lanes, params.capacity), "Faults of a beat, one cycle after it."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.scan = scan = self.scan
        scanning, choosing = Signal(), Signal()  # or else loading
        beat = Signal(range(scan.memory.depth + 1))
        last = Signal.like(scan.beat)  # the last beat that was stored
        arrives = self.inputs.valid & self.inputs.ready
        chosen = Signal()  # the scan is over, and so is the box kept before
        pending = self._output(m, chosen)
        self._load(m, beat)
        m.d.comb += [
            self.inputs.ready.eq(~scanning & ~choosing),
            scan.beat.eq(beat),
            scan.look.eq(scanning),
            chosen.eq(choosing & ~scan.busy & ~pending),
            scan.take.eq(chosen & scan.found),
        ]
        with m.If(scan.store):
            m.d.sync += last.eq(beat)
        with m.If(scan.store | scanning):
            m.d.sync += beat.eq(beat + 1)
        with m.If(arrives & self.inputs.p.last):
            m.d.sync += [beat.eq(0), scanning.eq(1)]
        with m.If(scanning & (beat == last)):
            m.d.sync += [beat.eq(0), scanning.eq(0), choosing.eq(1)]
        with m.If(chosen):
            m.d.sync += [choosing.eq(0), scanning.eq(scan.found)]
        return m

    def _load(self, m: Module, beat: Value) -> None:
        """Check the boxes of a beat, hand them to the scan, and report what is wrong."""
        params, scan = self.params, self.scan
        arrives, full = Signal(), Signal()
        malformed, present = Signal(params.lanes), Signal(params.lanes)
        for lane in range(params.lanes):
            box = self.inputs.p.boxes[lane]
            m.submodules[f"check_{lane}"] = check = BoxCheck(params.format)
            m.d.comb += [
                check.box.eq(box),
                malformed[lane].eq(check.malformed),
                present[lane].eq(~box.empty),
                scan.boxes[lane].corners.eq(check.corners),
                scan.boxes[lane].label.eq(box.label),
                scan.scores[lane].eq(box.score),
            ]
        m.d.comb += [
            arrives.eq(self.inputs.valid & self.inputs.ready),
            full.eq(beat == scan.memory.depth),
            scan.store.eq(arrives & ~full),
            scan.held.eq(present & ~malformed),
        ]
        m.d.sync += self.error.eq(0)
        with m.If(arrives & Mux(full, present.any(), malformed.any())):
            m.d.sync += [
                self.error.malformed.eq(Mux(full, 0, malformed)),
                self.error.overflow.eq(full),
                self.error.index.eq(Cat(Const(0, scan.lane_bits), beat)),
            ]

    def _output(self, m: Module, chosen: Value) -> Value:
        """Send what was chosen, the kept box or the end of the image; returns whether it still waits."""
        pending, ended = Signal(), Signal()  # a beat is to be sent; it is the end of the image
        with m.If(chosen):
            m.d.sync += ended.eq(~self.scan.found)
        with m.If(self.outputs.ready):
            m.d.sync += pending.eq(0)
        with m.If(delay(m, chosen, GreedyScan.TAKE_LATENCY - 1, "chosen", reset=True)):
            m.d.sync += pending.eq(1)
        box, kept = self.outputs.p.boxes[0], self.scan.kept
        m.d.comb += [
            self.outputs.valid.eq(pending),
            self.outputs.p.last.eq(ended),
            box.empty.eq(ended),
            *(box[name].eq(code) for name, code in self._codes().items()),
            *(box[name].eq(kept[name]) for name in ("score", "label", "index")),
        ]
        return pending

    def _codes(self) -> dict[str, Value]:
        """Return the four numbers of the kept box as they were sent."""
        corners = self.scan.kept.corners
        if self.params.format.form is Form.CORNERS:
            return {name: corners[name] for name in self.params.format.fields}
        centre = {f"c{axis}": (corners[f"{axis}1"] + corners[f"{axis}2"]) >> 2 for axis in "xy"}
        sizes = {name: (corners[f"{axis}2"] - corners[f"{axis}1"]) >> 1 for name, axis in (("w", "x"), ("h", "y"))}
        return centre | sizes
