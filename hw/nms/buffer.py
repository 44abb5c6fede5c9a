"""The boxes of the images in flight: filled by a stream, read again image by image."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import data, stream

from roundel.golden.nms import NmsParams
from roundel.hw.lib import Component, In, Out, TwoPortMemory, delay, select
from roundel.hw.nms.table import slot_width


def beat_layout(params: NmsParams, payload: ShapeLike) -> data.StructLayout:
    """Return a beat on its way through the unit: `bank` and `epoch` belong to its image, `slot` numbers it there."""
    return data.StructLayout(
        {
            "valid": 1,
            "bank": range(params.banks),
            "epoch": params.epoch_width,
            "slot": slot_width(params),
            "last": 1,
            "payload": payload,
        }
    )


class BoxBuffer(Component):
    """Holds `banks` images: one is filled, the one filled before is read, one beat per cycle each, without a pause.

    A beat taken in a cycle and a beat read in that cycle appear together, `LATENCY` cycles later: what follows may take
    them for things that happened in that order.

    Parameters
    ----------
    params
        The unit.
    payload
        Shape of a beat's boxes.
    room
        Beats that may be on their way behind `gather`.
    """

    LATENCY = 2

    def __init__(self, params: NmsParams, payload: ShapeLike, room: int):
        self.params, self.room = params, room
        self.beats = params.capacity // params.lanes
        self.memory = TwoPortMemory(
            width=Shape.cast(payload).width, depth=((params.banks - 1) << slot_width(params)) + self.beats
        )
        super().__init__(
            inputs=In(
                stream.Signature(data.StructLayout({"payload": payload, "last": 1})),
                "Beats of boxes; `last` ends an image.",
            ),
            scatter=Out(
                beat_layout(params, payload),
                "Beats as they come in; without `last`, which the end of a full image may have lost.",
            ),
            gather=Out(
                beat_layout(params, payload),
                "The same beats once the image is complete, as long as there is room behind.",
            ),
            overflow=Out(
                1,
                "A beat came for which the image has no room, beside `scatter`, which has its payload; it is dropped.",
            ),
            gone=In(1, "A gathered beat has left the units behind, which have room for `room` of them."),
            held=Out(1, "An image is not read to its end."),
            pause=In(1, "Take no beat."),
            epoch=Out(params.epoch_width, "Epoch of the image that is being filled, 0 when none is left."),
            restart=In(1, "Begin with epoch 1."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params = self.params
        m.submodules.memory = self.memory
        full = Signal(params.banks)
        lasts = [Signal(slot_width(params), name=f"last_{bank}") for bank in range(params.banks)]
        epochs = [Signal(params.epoch_width, name=f"epoch_{bank}") for bank in range(params.banks)]
        m.d.comb += self.held.eq(full.any())
        closed = self._fill(m, full, lasts, epochs)
        opened = self._read(m, full, lasts, epochs)
        m.d.sync += full.eq((full | closed) & ~opened)
        return m

    def _fill(self, m: Module, full: Signal, lasts: list[Signal], epochs: list[Signal]) -> Value:
        """Write beats as they come; those behind the last place of a full image go nowhere. Returns banks just full."""
        source, memory = self.inputs, self.memory
        bank, slot, beyond = Signal(range(self.params.banks)), Signal(slot_width(self.params)), Signal()
        taken, kept, closes = Signal(), Signal(), Signal()
        m.d.comb += [
            source.ready.eq(~full.bit_select(bank, 1) & ~self.pause),
            taken.eq(source.valid & source.ready),
            kept.eq(taken & ~beyond),
            closes.eq(taken & source.p.last),
            memory.write_en.eq(kept),
            memory.write_addr.eq(Cat(slot, bank)),
            memory.write_data.eq(source.p.payload),
        ]
        with m.If(taken):
            with m.If(slot == self.beats - 1):
                m.d.sync += beyond.eq(1)
            with m.Else():
                m.d.sync += slot.eq(slot + 1)
        with m.If(closes):
            m.d.sync += [beyond.eq(0), slot.eq(0), bank.eq(_next(bank, self.params.banks))]
            m.d.sync += self.epoch.eq(self.epoch + 1)
            for number in range(self.params.banks):
                with m.If(bank == number):
                    m.d.sync += [lasts[number].eq(slot), epochs[number].eq(self.epoch)]
        with m.If(self.restart):
            m.d.sync += self.epoch.eq(1)
        beat = delay(m, Cat(kept, bank, self.epoch, slot, Const(0, 1)), self.LATENCY, "scatter", reset=True)
        m.d.comb += [
            self.scatter.eq(Cat(beat, delay(m, Value.cast(source.p.payload), self.LATENCY, "boxes"))),
            self.overflow.eq(delay(m, taken & beyond, self.LATENCY, "overflow", reset=True)),
        ]
        return closes << bank

    def _read(self, m: Module, full: Signal, lasts: list[Signal], epochs: list[Signal]) -> Value:
        """Read the beats of the image that has been full for longest. Returns banks just read to their end."""
        memory = self.memory
        bank, slot, ends = Signal(range(self.params.banks)), Signal(slot_width(self.params)), Signal()
        issued, free = Signal(), Signal(range(self.room + 1), init=self.room)
        m.d.comb += [
            issued.eq(full.bit_select(bank, 1) & (free != 0)),
            ends.eq(slot == select(lasts, bank)),
            memory.read_en.eq(issued),
            memory.read_addr.eq(Cat(slot, bank)),
        ]
        m.d.sync += free.eq(free - issued + self.gone)
        with m.If(issued):
            m.d.sync += slot.eq(Mux(ends, 0, slot + 1))
            with m.If(ends):
                m.d.sync += bank.eq(_next(bank, self.params.banks))
        boxes = Signal.like(memory.read_data, reset_less=True)
        m.d.sync += boxes.eq(memory.read_data)
        beat = delay(m, Cat(issued, bank, select(epochs, bank), slot, ends), self.LATENCY, "gather", reset=True)
        m.d.comb += self.gather.eq(Cat(beat, boxes))
        return (issued & ends) << bank


def _next(number: Signal, count: int) -> Value:
    """Return the number behind `number`, in a circle."""
    return Mux(number == count - 1, 0, number + 1)
