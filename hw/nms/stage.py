"""One stage of the suppression: passes that see the same boxes."""

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Value
from amaranth.lib import data
from amaranth.lib.fifo import SyncFIFOBuffered

from roundel.golden.nms import NmsParams, Pass
from roundel.hw.lib import Component, In, Out, delay
from roundel.hw.nms.buffer import BoxBuffer
from roundel.hw.nms.overlap import BoxOverlap
from roundel.hw.nms.recovery import Recovery
from roundel.hw.nms.streams import BoxCheck, boxes_in, boxes_out, error_layout
from roundel.hw.nms.table import PassTable, ScoreTable, Sweep

SKEW = ScoreTable.LATENCY  # windows are read when those of the box before are written
QUEUE = 32  # beats between the buffer and the verdict, more than are on their way


class NmsStage(Component):
    """Scatters the boxes of an image into the tables of its passes, then gathers those that live through all of them.

    The image before is gathered at the same time. A beat that holds no box kept is left out, unless it is the last.

    Parameters
    ----------
    params, passes
        The unit, and the passes of this stage.
    first
        Whether boxes come from outside: they are checked, and get their indices here.
    """

    def __init__(self, params: NmsParams, passes: Sequence[Pass], *, first: bool):
        self.params, self.first = params, first
        self.guard: Any = params.pyramid.guard
        kept = boxes_out(params.format, params.lanes, params.index_width)
        source = boxes_in(params.format, params.lanes) if first else kept
        self.scatters = [Recovery(params, passes) for _ in range(params.lanes)]
        self.gathers = [Recovery(params, passes, skew=SKEW) for _ in range(params.lanes)]
        words = [window.words for window in self.scatters[0].windows]
        self.tables = [PassTable(params, count) for count in words]
        self.read = self.gathers[0].latency + self.tables[0].read_latency
        self.judged = self.read + (0 if self.guard is None else BoxOverlap.LATENCY)
        self.latency = 1 + BoxBuffer.LATENCY + self.judged + 2  # read at last, judged, through the queue
        super().__init__(
            inputs=In(
                source, "Boxes of an image: those of `boxes_in` for the `first` stage, else those of `boxes_out`."
            ),
            outputs=Out(kept, "Boxes kept."),
            error=Out(
                error_layout(params.lanes, params.capacity),
                "Faults of the beat that came `BoxBuffer.LATENCY` + 1 cycles before.",
            ),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        boxes = self.inputs.p.boxes.shape()
        m.submodules.buffer = buffer = BoxBuffer(self.params, boxes, QUEUE)
        m.d.comb += [
            buffer.inputs.valid.eq(self.inputs.valid),
            self.inputs.ready.eq(buffer.inputs.ready),
            buffer.inputs.p.eq(self.inputs.p),
        ]
        self._scatter(m, buffer)
        alive = self._gather(m, buffer)
        self._send(m, buffer, alive)
        self._sweep(m, buffer)
        return m

    def _checked(self, m: Module, beat: data.View, name: str) -> tuple[list[Value], list[Value], Value]:
        """Corners of the boxes of a beat, which of them take part, and which are malformed."""
        corners, taking, malformed = [], [], []
        for lane in range(self.params.lanes):
            m.submodules[f"{name}_check_{lane}"] = check = BoxCheck(self.params.format)
            box = beat.payload[lane]
            m.d.comb += [check.box[field].eq(box[field]) for field in check.box.shape().members]
            bad = check.malformed if self.first else 0
            malformed.append(beat.valid & bad)
            taking.append(beat.valid & ~box.empty & ~malformed[-1])
            corners.append(check.corners)
        return corners, taking, Cat(malformed)

    def _recover(self, m: Module, recoveries: list[Recovery], corners: list[Value], beat: data.View, name: str) -> None:
        for lane, recovery in enumerate(recoveries):
            m.submodules[f"{name}_{lane}"] = recovery
            m.d.comb += [recovery.corners.eq(corners[lane]), recovery.label.eq(beat.payload[lane].label)]

    def _scatter(self, m: Module, buffer: BoxBuffer) -> None:
        """Enter the boxes of a beat into all tables; report what is wrong with it."""
        beat, lanes = buffer.scatter, range(self.params.lanes)
        corners, taking, malformed = self._checked(m, beat, "scatter")
        self._recover(m, self.scatters, corners, beat, "scatter")
        overflow = buffer.overflow & ~Cat(beat.payload[lane].empty for lane in lanes).all()
        m.d.sync += [
            self.error.malformed.eq(malformed),
            self.error.overflow.eq(overflow),
            self.error.index.eq(Mux(overflow, self.params.capacity, beat.slot * self.params.lanes)),
        ]

        start = self.scatters[0].latency
        valid = delay(m, Cat(taking), start, "valid", reset=True)
        epoch = delay(m, beat.epoch, start, "epoch")
        scores = [delay(m, beat.payload[lane].score, start + 2, f"score_{lane}") for lane in lanes]
        entries = [Cat(beat.slot, *([] if self.guard is None else [corners[lane].as_value()])) for lane in lanes]
        entries = [delay(m, entry, start + 3, f"entry_{lane}") for lane, entry in enumerate(entries)]
        bank = delay(m, beat.bank, start + 3, "bank")
        for number, table in enumerate(self.tables):
            m.submodules[f"pass_{number}"] = table
            m.d.comb += [table.valid.eq(valid), table.epoch.eq(epoch), table.bank.eq(bank)]
            m.d.comb += [table.score.eq(Cat(scores)), table.entry.eq(Cat(entries))]
            m.d.comb += [table.key[lane].eq(self.scatters[lane].keys[f"pass_{number}"]) for lane in lanes]

    def _gather(self, m: Module, buffer: BoxBuffer) -> Value:
        """Which boxes of a beat live through all passes, `judged` cycles later."""
        beat, lanes = buffer.gather, range(self.params.lanes)
        corners, taking, _ = self._checked(m, beat, "gather")
        self._recover(m, self.gathers, corners, beat, "gather")
        start = self.gathers[0].latency
        bank, epoch = delay(m, beat.bank, start, "read_bank"), delay(m, beat.epoch, start, "read_epoch")
        for table in self.tables:
            m.d.comb += [table.read_bank.eq(bank), table.read_epoch.eq(epoch)]
        slot = delay(m, beat.slot, self.read, "own_slot")
        alive = []
        for lane in lanes:
            won, spared = [], []
            for number, table in enumerate(self.tables):
                m.d.comb += table.read_key[lane].eq(self.gathers[lane].keys[f"pass_{number}"])
                own_lane = table.winner_lane[lane] == lane if self.params.lanes > 1 else 1
                won.append((table.winner[lane].slot == slot) & own_lane)
            if self.guard is not None:
                won = [delay(m, wins, BoxOverlap.LATENCY, f"won_{lane}_{number}") for number, wins in enumerate(won)]
                spared = self._spared(m, lane, corners[lane])
            valid = delay(m, taking[lane], self.judged, f"taking_{lane}")
            alive.append(valid & (Cat(won) | Cat(spared)).all())
        return Cat(alive)

    def _spared(self, m: Module, lane: int, corners: Value) -> list[Value]:
        """By pass, whether the winner of a box's window hardly overlaps it."""
        own = delay(m, corners.as_value(), self.read, f"own_{lane}")
        area = delay(m, self.gathers[lane].area, self.read - Recovery.AREA_LATENCY, f"area_{lane}")
        spared = []
        for number, table in enumerate(self.tables):
            overlap = BoxOverlap(self.params.format, self.guard, given="b")
            m.submodules[f"guard_{number}_{lane}"] = overlap
            m.d.comb += [overlap.a.eq(table.winner[lane].corners), overlap.b.eq(own), overlap.area_b.eq(area)]
            spared.append(~overlap.exceeds)
        return spared

    def _send(self, m: Module, buffer: BoxBuffer, alive: Value) -> None:
        """Boxes wait for their verdict in a queue, which also limits how many are on their way."""
        params, beat = self.params, buffer.gather
        m.submodules.boxes = boxes = SyncFIFOBuffered(width=len(Cat(beat.last, beat.slot, beat.payload)), depth=QUEUE)
        m.submodules.verdicts = verdicts = SyncFIFOBuffered(width=params.lanes, depth=QUEUE)
        m.d.comb += [
            boxes.w_en.eq(beat.valid),
            boxes.w_data.eq(Cat(beat.last, beat.slot, beat.payload)),
            verdicts.w_en.eq(delay(m, beat.valid, self.judged, "judged", reset=True)),
            verdicts.w_data.eq(alive),
        ]
        last, slot = boxes.r_data[0], boxes.r_data[1:][: len(beat.slot)]
        kept = data.View(beat.payload.shape(), boxes.r_data[1 + len(beat.slot) :])
        wanted = verdicts.r_data.any() | last
        gone = verdicts.r_rdy & (self.outputs.ready | ~wanted)
        m.d.comb += [
            self.outputs.valid.eq(verdicts.r_rdy & wanted),
            self.outputs.p.last.eq(last),
            boxes.r_en.eq(gone),
            verdicts.r_en.eq(gone),
            buffer.gone.eq(gone),
        ]
        for lane in range(params.lanes):
            out = self.outputs.p.boxes[lane]
            m.d.comb += [out[field].eq(kept[lane][field]) for field in kept[lane].shape().members if field != "empty"]
            m.d.comb += out.empty.eq(~verdicts.r_data[lane])
            if self.first:
                m.d.comb += out.index.eq(slot * params.lanes + lane)

    def _sweep(self, m: Module, buffer: BoxBuffer) -> None:
        key_width = max(table.key_width for table in self.tables)
        banks = self.params.banks if self.params.lanes > 1 else 1
        m.submodules.sweep = sweep = Sweep(banks << key_width, self.judged)
        m.d.comb += [
            sweep.worn.eq(buffer.epoch == 0),
            sweep.held.eq(buffer.held),
            buffer.pause.eq(sweep.pause),
            buffer.restart.eq(sweep.restart),
        ]
        for table in self.tables:
            m.d.comb += [
                table.clear.eq(sweep.clear),
                table.clear_key.eq(sweep.address),
                table.clear_bank.eq(sweep.address >> key_width),
            ]
