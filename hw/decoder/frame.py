"""The frame of a weight stream: header, lengths of segments, the stream's end, and all faults in their order."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, stream, wiring

from roundel.golden.codec import DecoderParams
from roundel.hw.decoder.contract import chunk_layout, header_layout
from roundel.hw.decoder.header import HeaderReader
from roundel.hw.decoder.segments import SegmentCounter
from roundel.hw.decoder.words import POSITION, WordCursor, input_layout
from roundel.hw.lib import Component, In, Out, named


def status_layout() -> data.StructLayout:
    """`done` for one cycle after each stream; `error`, with `bit`, from where it is found until the next one starts."""
    return data.StructLayout({"done": 1, "error": 1, "bit": POSITION})


class FrameState(enum.Enum, shape=2):  # type: ignore[call-arg, misc]
    """What the next word is."""

    __qualname__ = "State"  # its name in the Verilog

    HEADER = 0
    LENGTH = 1  # of a segment; or there is none
    PAYLOAD = 2
    END = 3  # nothing, up to the last


class Frame(Component):
    """Follows a stream word by word, payload beat by beat.

    Faults are found in their order in the stream, as the frame does not go on behind a segment before the core is
    through with it. Only two have to wait for the stream's last beat: that the header is too short, and that there are
    bytes that make no whole word.

    Parameters
    ----------
    params
        See `roundel.golden.codec.decoder.DecoderParams`.
    reach
        Bits of the core's `fault_bit`.
    """

    def __init__(self, params: DecoderParams, reach: int):
        self.params = params
        super().__init__(
            inputs=In(stream.Signature(input_layout(params)), "The bytes of the streams."),
            status=Out(status_layout(), "The end of a stream, and its first fault."),
            chunks=Out(
                stream.Signature(chunk_layout(params)), "Payload for the core, see `roundel.hw.decoder.contract`."
            ),
            header=Out(header_layout(), "Header for the core, see `roundel.hw.decoder.contract`."),
            clear=Out(1, "Reset of the core, see `roundel.hw.decoder.contract`."),
            fault=In(1, "The core's fault, see `roundel.hw.decoder.contract`."),
            fault_bit=In(signed(reach), "Position of the core's fault, see `roundel.hw.decoder.contract`."),
            index=Out(8, "Code of the level that is read, see `roundel.hw.decoder.unit.LevelTable`."),
            level=Out(8, "The level, see `roundel.hw.decoder.unit.LevelTable`."),
            write=Out(1, "Write the level, see `roundel.hw.decoder.unit.LevelTable`."),
            wrong=In(1, "The level is not allowed, see `roundel.hw.decoder.unit.LevelTable`."),
            ending=Out(1, "The segment is the stream's last."),
            idle=In(1, "All beats of weights have been taken; a stream is not done before."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.reader = reader = HeaderReader(self.params)
        m.submodules.cursor = cursor = WordCursor(self.params)
        m.submodules.segments = segments = SegmentCounter(self.params)
        wiring.connect(m, wiring.flipped(self.inputs), cursor.inputs)
        m.d.comb += [self.header.eq(reader.header), reader.wrong.eq(self.wrong), reader.word.eq(cursor.word)]
        m.d.comb += [self.index.eq(reader.index), self.level.eq(reader.level), self.write.eq(reader.write)]
        m.d.comb += [
            segments.word.eq(cursor.word),
            segments.announce.eq(reader.counts),
            segments.below.eq(reader.below),
            segments.index.eq(cursor.index),
            segments.size.eq(cursor.size),
            self.ending.eq(segments.ending),
        ]
        self._follow(m, reader, cursor, segments)
        return m

    def _follow(self, m: Module, reader: HeaderReader, cursor: WordCursor, segments: SegmentCounter) -> None:
        """From header to end, or from a fault to the end."""
        state, error, header = Signal(FrameState), Signal(), Signal()
        payload = named(m, state == FrameState.PAYLOAD, "payload")
        done, stopped, behind = self._chunk(m, payload, error, cursor, segments)
        self._status(m, reader, cursor, error, header, behind)
        one = named(m, cursor.index + 1, "one")
        over = named(m, self.inputs.valid & self.inputs.p.last & self.idle, "over")
        incomplete = named(m, reader.short | cursor.size_bytes[:2].any(), "incomplete")
        judged = Signal()
        m.d.comb += [cursor.to.eq(one), cursor.leave.eq(one == self.params.words)]
        m.d.comb += segments.start.eq(one[: self.params.words.bit_length() - 1])  # modulo the words of a beat
        m.d.comb += self.clear.eq((state == FrameState.HEADER) | (state == FrameState.END))

        with m.If(state == FrameState.HEADER):
            m.d.comb += reader.valid.eq(cursor.there & ~reader.complete)
            m.d.comb += cursor.go.eq(reader.valid & reader.ready)
            m.d.comb += error.eq(Mux(reader.complete, reader.fault, cursor.ended))
            m.d.comb += header.eq(reader.complete | reader.early)
            with m.If(reader.complete):
                m.d.sync += state.eq(FrameState.LENGTH)
        with m.Elif(state == FrameState.LENGTH):
            m.d.comb += error.eq(Mux(segments.more, cursor.ended, cursor.there))
            m.d.comb += segments.begin.eq(cursor.there & segments.more)
            m.d.comb += cursor.go.eq(segments.begin)
            with m.If(segments.begin):
                m.d.sync += state.eq(FrameState.PAYLOAD)
            with m.Elif(cursor.ended):
                m.d.sync += state.eq(FrameState.END)
        with m.Elif(state == FrameState.PAYLOAD):
            m.d.comb += error.eq(self.fault | stopped | (segments.first & (segments.void | cursor.ended)))
            m.d.comb += [cursor.go.eq(segments.take), cursor.to.eq(segments.end), cursor.leave.eq(segments.reaches)]
            with m.If(done):
                m.d.sync += state.eq(FrameState.LENGTH)
        with m.Else():
            m.d.comb += cursor.drop.eq(1)
            m.d.comb += error.eq(over & incomplete & ~judged)
            m.d.comb += cursor.finish.eq(over & (judged | ~incomplete))
            m.d.sync += judged.eq(error)
            m.d.comb += reader.start.eq(cursor.finish)
            with m.If(cursor.finish):
                m.d.sync += state.eq(FrameState.HEADER)
        with m.If(error):
            m.d.sync += state.eq(FrameState.END)

    def _chunk(
        self, m: Module, payload: Value, error: Value, cursor: WordCursor, segments: SegmentCounter
    ) -> tuple[Value, Value, Value]:
        """Hold the chunk that is offered; the next one comes when the core takes it, unless it is the last.

        Returns
        -------
        done, stopped
            The core is through with the segment: with all of it; with what there was before the stream's end.
        behind
            The chunk that is offered is of the beat before that of the cursor.
        """
        chunk = Signal(self.chunks.p.shape(), reset_less=True)
        held, whole, gone = Signal(), Signal(reset_less=True), Signal(reset_less=True)
        there = Mux(segments.first, cursor.there & ~segments.void, self.inputs.valid)
        done = named(m, held & self.chunks.ready & chunk.last, "done")
        free = named(m, ~held | (self.chunks.ready & ~chunk.last), "free")
        m.d.comb += [
            segments.take.eq(payload & there & free),
            segments.complete.eq(done),
            self.chunks.valid.eq(held),
            self.chunks.p.eq(chunk),
            self.chunks.p.weights.eq(segments.weights),
        ]
        with m.If(segments.take):
            m.d.sync += [
                chunk.data.eq(self.inputs.p.data),
                chunk.start.eq(cursor.index),
                chunk.end.eq(segments.end),
                chunk.last.eq(segments.ends | self.inputs.p.last),
                whole.eq(segments.within),
                gone.eq(cursor.passes),
            ]
        m.d.sync += held.eq((segments.take | (held & ~self.chunks.ready)) & ~error)
        return done & whole, done & ~whole, held & gone

    def _status(
        self, m: Module, reader: HeaderReader, cursor: WordCursor, error: Value, header: Value, behind: Value
    ) -> None:
        """Keep what is wrong, and where: in the header, where the core says, at the end, or at the next word.

        The sum is formed a cycle later. The core may speak of the beat `behind` that of the cursor.
        """
        bus_log = self.params.bus.bit_length() - 1
        found, absolute, back = Signal(), Signal(reset_less=True), Signal(reset_less=True)
        where = Signal(signed(max(len(self.fault_bit), len(reader.fault_bit) + 1)), reset_less=True)
        m.d.sync += [found.eq(error), self.status.done.eq(cursor.finish)]
        m.d.sync += [absolute.eq(header), where.eq(cursor.index << 5), back.eq(self.fault & behind)]
        with m.If(header):
            m.d.sync += where.eq(reader.fault_bit)
        with m.Elif(self.fault):
            m.d.sync += where.eq(self.fault_bit)
        with m.Elif(cursor.drop):
            m.d.sync += where.eq(cursor.size_bytes << 3)
        with m.If(found):
            base = Mux(absolute, 0, cursor.base) + (where - (back << bus_log))
            m.d.sync += [self.status.error.eq(1), self.status.bit.eq(base)]
        with m.Elif(reader.valid):
            m.d.sync += self.status.error.eq(0)
