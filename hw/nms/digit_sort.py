"""Boxes sorted by one digit of their scores, one a cycle: a linked list for every digit, and which lists hold boxes."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream

from roundel.hw.lib import Component, In, Out, TwoPortMemory, first_set, named


def sort_stream(box: data.StructLayout) -> stream.Signature:
    """Boxes of an image, one a beat; an `empty` beat holds none, `last` ends the image."""
    return stream.Signature(data.StructLayout({"box": box, "empty": 1, "last": 1}))


class ListMemories:
    """The boxes of two images, and the lists that they are in: one image is entered, the other one is walked.

    Everything that is read comes in the next cycle. `tails` and `marks` are read where boxes are entered, `ends` and
    `lists`, which hold the same, where they are walked.

    Parameters
    ----------
    box
        Layout of a box.
    width
        Bits of the digit.
    capacity
        Boxes of an image.
    """

    def __init__(self, box: data.StructLayout, width: int, capacity: int):
        self.place_width = max(1, (capacity - 1).bit_length())
        self.low = width // 2  # bits of a digit that are a place in a word of the bitmap; the others number the word
        self.groups = 1 << width - self.low
        places, links = (1 << self.place_width) + capacity, {"width": self.place_width, "depth": 2 << width}
        bitmap = {"width": 1 << self.low, "depth": 2 * self.groups}
        self.boxes = TwoPortMemory(width=box.size, depth=places)
        self.followers = TwoPortMemory(width=self.place_width, depth=places)
        self.heads, self.tails, self.ends = (TwoPortMemory(**links) for _ in range(3))
        self.marks, self.lists = (TwoPortMemory(**bitmap) for _ in range(2))


class DigitSort(Component):
    """Stable sort of the boxes of an image, the highest digit first: an image comes in while the one before goes out.

    A box that comes is appended to the list of its digit: it becomes the follower of the box at the list's end. No
    pass over the digits is needed, as a bitmap names the lists that hold boxes. The bitmap is kept in words; a summary
    in registers says which words count, so nothing is ever cleared. Sorters in a row, that of the lowest digit first,
    sort by whole scores.

    An image of n boxes takes n cycles in, and n out from `LATENCY` cycles after its last beat on, if the image before
    has left by then. The image after it is taken when that has happened.

    Parameters
    ----------
    box
        Layout of a box.
    low, width
        The digit: from which bit of `box.score` on, and of how many bits, 1 to 8.
    capacity
        Boxes of an image.
    most
        Boxes of an image that go out, the first ones; None: all.
    """

    LATENCY = 7

    def __init__(self, box: data.StructLayout, low: int, width: int, capacity: int, most: int | None = None):
        self.low, self.capacity, self.box, self.most = low, capacity, box, most
        self.bits, self.width = width, max(2, width)  # of the score; of the digit, whose bitmap has two words at least
        super().__init__(
            inputs=In(sort_stream(box), "Boxes to sort; empty beats are left out."),
            outputs=Out(sort_stream(box), "The boxes in order; one empty beat for an image without boxes."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        memories = ListMemories(self.box, self.width, self.capacity)
        for name in ("boxes", "followers", "heads", "tails", "ends", "marks", "lists"):
            m.submodules[name] = getattr(memories, name)
        filled = Signal(memories.groups)  # words of the bitmap that the image which comes in has written
        bank, held = Signal(), Signal()  # the bank that is filled; whether its image has boxes
        waiting, idle, hand_over = Signal(), Signal(init=1), Signal()
        entering = self._enter(m, memories, bank, filled, waiting)
        self._walk(m, memories, Cat(bank, held, filled), idle, hand_over)
        with m.If(entering):
            m.d.sync += held.eq(1)
        m.d.comb += hand_over.eq(waiting & ~entering & idle)
        with m.If(hand_over):
            m.d.sync += [bank.eq(~bank), waiting.eq(0), filled.eq(0), held.eq(0)]
        return m

    def _enter(self, m: Module, memories: ListMemories, bank: Value, filled: Signal, waiting: Signal) -> Value:
        """Append boxes to their lists, in two cycles; returns whether one is in the second of them."""
        source, place, taken = self.inputs, Signal(memories.place_width), Signal()
        digit = Signal(self.width, name="digit_in")
        m.d.comb += digit.eq(source.p.box.score[self.low : self.low + self.bits])
        m.d.comb += [source.ready.eq(~waiting), taken.eq(source.valid & ~waiting & ~source.p.empty)]
        _write(m, memories.boxes, taken, Cat(place, bank), source.p.box)
        _read(m, memories.tails, taken, Cat(digit, bank))
        _read(m, memories.marks, taken, Cat(digit[memories.low :], bank))
        entering, number, box = Signal(), Signal(self.width), Signal.like(place)
        m.d.sync += [entering.eq(taken), number.eq(digit), box.eq(place), place.eq(place + taken)]
        with m.If(source.valid & ~waiting & source.p.last):
            m.d.sync += [waiting.eq(1), place.eq(0)]

        before, word = Signal(self.width), Signal(1 << memories.low)  # the digit entered last, and its word
        group, tail = number[memories.low :], Mux(number == before, box - 1, memories.tails.read_data)
        old, new, mark = Signal.like(word), Signal.like(word), Signal.like(word)
        known = Mux(before[memories.low :] == group, word, memories.marks.read_data)
        m.d.comb += [
            mark.eq(Const(1) << number[: memories.low]),
            old.eq(Mux(filled.bit_select(group, 1), known, 0)),
            new.eq(old | mark),
        ]
        first = ~(old & mark).any()
        with m.If(entering):
            m.d.sync += [before.eq(number), word.eq(new), filled.bit_select(group, 1).eq(1)]
        for memory in (memories.marks, memories.lists):
            _write(m, memory, entering, Cat(group, bank), new)
        for memory in (memories.tails, memories.ends):
            _write(m, memory, entering, Cat(number, bank), box)
        _write(m, memories.heads, entering & first, Cat(number, bank), box)
        _write(m, memories.followers, entering & ~first, Cat(tail[: len(box)], bank), box)
        return entering

    def _walk(self, m: Module, memories: ListMemories, image: Value, idle: Signal, hand_over: Value) -> None:
        """Send the boxes of an image, list after list; `image` is its bank, whether it has boxes, and its summary."""
        sink, bank, held, rest = self.outputs, Signal(), Signal(), Signal(memories.groups)
        listed, digit, following = Signal(), Signal(self.width), Signal()  # a list is known; one is being walked
        place, end = Signal(memories.place_width), Signal(memories.place_width)  # of the box read last; of its list
        free, none, void, go = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [free.eq(~sink.valid | sink.ready), following.eq(place != end)]
        fetched, valid = self._lists(m, memories, bank, rest, digit, listed)

        ready = Signal()  # the head and the end of the next list have been read
        begin = go & ~following
        m.d.comb += fetched.eq(listed & (~ready | begin))
        _read(m, memories.heads, fetched, Cat(digit, bank))
        _read(m, memories.ends, fetched, Cat(digit, bank))
        m.d.sync += ready.eq(fetched | (ready & ~begin))

        box = Signal.like(end)
        m.d.comb += [
            box.eq(Mux(following, memories.followers.read_data, memories.heads.read_data)),
            go.eq((following | ready) & free),
            none.eq(~(following | ready | listed | valid | rest.any())),
            void.eq(~idle & ~held & ~sink.valid),
        ]
        _read(m, memories.boxes, go, Cat(box, bank))
        _read(m, memories.followers, go, Cat(box, bank))
        with m.If(go):
            m.d.sync += [place.eq(box), end.eq(Mux(following, end, memories.ends.read_data))]
        with m.If(free):
            m.d.sync += [sink.valid.eq(go | void), sink.p.empty.eq(void)]
        m.d.comb += [sink.p.box.eq(memories.boxes.read_data), sink.p.last.eq(none)]
        gone = named(m, sink.valid & sink.ready & none, "gone")
        if self.most is not None:
            self._end(m, go, gone, end, box, (ready, listed, valid, rest))
        with m.If(gone):
            m.d.sync += idle.eq(1)
        with m.If(hand_over):
            m.d.sync += [Cat(bank, held, rest).eq(image), idle.eq(0)]

    def _end(self, m: Module, go: Value, gone: Value, end: Signal, box: Value, ahead: tuple[Signal, ...]) -> None:
        """Count the boxes that go out: the last one that may ends its list, and what was read ahead is forgotten."""
        assert self.most is not None
        count = Signal(range(self.most + 1))
        with m.If(go):
            m.d.sync += count.eq(count + 1)
        with m.If(go & (count == self.most - 1)):
            m.d.sync += [end.eq(box), *(signal.eq(0) for signal in ahead)]
        with m.If(gone):
            m.d.sync += count.eq(0)

    def _lists(
        self, m: Module, memories: ListMemories, bank: Value, rest: Signal, digit: Signal, listed: Signal
    ) -> tuple[Signal, Signal]:
        """Find the digits that have boxes, the highest first: `digit`, when `listed`. Words of the bitmap come ahead.

        Returns a signal by which `digit` is taken, and whether a word with more is at hand.
        """
        taken, valid, fresh, group = Signal(), Signal(), Signal(), Signal(range(max(2, memories.groups)))
        kept, word = Signal(1 << memories.low), Signal(1 << memories.low)
        (best, _), (wanted, some) = first_set(word, highest=True), first_set(rest, highest=True)
        left, goes, read = Signal.like(word), Signal(), Signal()
        m.d.comb += [
            word.eq(Mux(fresh, memories.lists.read_data, kept)),
            left.eq(word & ~(Const(1) << best)),
            goes.eq(valid & (~listed | taken)),
            read.eq(some & (~valid | (goes & ~left.any()))),
        ]
        _read(m, memories.lists, read, Cat(wanted, bank))
        m.d.sync += [listed.eq(goes | (listed & ~taken)), valid.eq(read | (valid & ~(goes & ~left.any())))]
        with m.If(goes):
            m.d.sync += [digit.eq(Cat(best, group)), kept.eq(left), fresh.eq(0)]
        with m.If(read):
            m.d.sync += [group.eq(wanted), fresh.eq(1), rest.bit_select(wanted, 1).eq(0)]
        return taken, valid


def _read(m: Module, memory: TwoPortMemory, enable: Value, address: Value) -> None:
    m.d.comb += [memory.read_en.eq(enable), memory.read_addr.eq(address)]


def _write(m: Module, memory: TwoPortMemory, enable: Value, address: Value, word: Value) -> None:
    m.d.comb += [memory.write_en.eq(enable), memory.write_addr.eq(address), memory.write_data.eq(word)]
