"""How the feeder reads the banks of the activation memory: each word of a row once, and where others leave a bank."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from roundel.golden.engine import EngineParams
from roundel.hw.engine.ports import feed_port, word
from roundel.hw.engine.selection import LaneSelection, crossings
from roundel.hw.lib import Component, In, Out, delay, gated, named, select

SLOTS = 4
"""Most words that are held: those of a beat, and those that are read ahead of the next."""


class FeedReader(Component):
    """Lanes from any byte on: of a word, or of two neighbours. A request a cycle; it never waits.

    The words of a request are held, each in the slot of its bank, for the next one, which says if it is `near`. What a
    request needs besides is read in the first cycle, if nobody else wants that bank and the slot is not that of a word
    of the request before; else in the second, before all others.

    Where beats may have several words, those behind the first are read in the same two cycles, each from its own bank,
    for requests that begin at a word. Lanes that select take bytes of these words as they leave their slots, before
    the register of the data (`LaneSelection`). docs/engine_cycles.md has what that costs.

    Parameters
    ----------
    params
        The engine: `memory`, `banks`, `lanes`, `beat_words` and `select` matter here.
    """

    LATENCY = 4  # cycles from a transfer to its data: two in which to read, choice of the bytes, rotation

    def __init__(self, params: EngineParams):
        self.params, self.slots = params, min(max(SLOTS, params.beat_words), params.banks)
        row = range(params.words // params.banks)
        self.rows = 2 if params.beat_words == 1 else params.banks
        super().__init__(
            feed=In(feed_port(params), "The feeder's port."),
            tries=Out(params.banks, "Banks that it reads in this cycle unless they are `lost`."),
            lost=In(params.banks, "Banks that others read."),
            takes=Out(params.banks, "Banks that it reads in this cycle, before all others."),
            tries_row=Out(row, "Rows that it tries: of bank 0 and of all others, or of each bank.").array(self.rows),
            takes_row=Out(row, "Rows that it takes: of bank 0 and of all others, or of each bank.").array(self.rows),
            read_data=In(word(params), "What each bank gave.").array(params.banks),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        request, count = self.feed.request, self.params.banks
        address, shift_bits, bank_bits = request.p.address, self.params.lanes.bit_length() - 1, count.bit_length() - 1
        shift, place = address[:shift_bits], address[shift_bits:]
        bank, row = place[:bank_bits], place[bank_bits:]
        first, second = self._wanted(m, place, shift.any())
        others = self._others(m, place)
        wanted, own = Signal(count), Signal(count)  # banks of words to be read; of all words of the request
        for number in range(count):
            here, behind = bank == number, bank == (number - 1) % count
            read, used = first & here | second & behind, request.valid & (here | shift.any() & behind)
            for there, other in others:
                here = there & (other[:bank_bits] == number)
                read, used = read | here, used | here
            m.d.comb += [wanted[number].eq(read), own[number].eq(used)]
        busy = Signal(self.slots)  # slots of the request before
        m.d.sync += busy.eq(Cat(Cat(own[slot :: self.slots]).any() for slot in range(self.slots)))
        got = named(m, self.tries & ~self.lost, "got")
        m.d.comb += [
            request.ready.eq(1),
            self.tries.eq(wanted & ~Cat(busy[number % self.slots] for number in range(count))),
            # Only bank 0 can hold the second word in another row: the one behind.
            *self._tries_row(row, (row + bank.all())[: len(row)], others),
        ]
        m.d.sync += self.takes.eq(wanted & ~got)
        m.d.sync += Cat(self.takes_row).eq(Cat(self.tries_row))
        held = self._held(m, got | self.takes)
        self._rotate(m, place, shift, held, others)
        return m

    def _others(self, m: Module, place: Value) -> list[tuple[Value, Value]]:
        """Return of each word behind the first whether it is to be read, and where it is."""
        request, found = self.feed.request, []
        for number in range(1, self.params.beat_words):
            there = named(m, request.valid & request.p.others[number - 1], f"there_{number}")
            other = Signal.like(place, name=f"place_{number}")
            m.d.comb += other.eq(place + number * request.p.apart)
            found.append((there, other))
        return found

    def _tries_row(self, row: Value, behind: Value, others: list[tuple[Value, Value]]) -> list[Any]:
        """Say which row of each bank is tried: that of the request's first words, or of another in that bank."""
        if not others:
            return [Cat(self.tries_row).eq(Cat(behind, row))]
        bits, statements = self.params.banks.bit_length() - 1, []
        for number, tried in enumerate(self.tries_row):
            chosen: Value = row if number else behind
            for there, other in others:
                chosen = Mux(there & (other[:bits] == number), other[bits:], chosen)
            statements.append(tried.eq(chosen))
        return statements

    def _more(self, m: Module, slots: list[Signal], held: list[Signal]) -> list[Value]:
        """Return the words behind the first as they leave their slots, and let them go on beside the data."""
        words: list[Value] = [select(list(held), slot) for slot in slots]
        for number, word_ in enumerate(words):
            m.d.comb += self.feed.others[number].eq(delay(m, word_, 1, f"other_{number + 1}"))
        return words

    def _wanted(self, m: Module, place: Value, spans: Value) -> tuple[Signal, Signal]:
        """Whether the word in which a request begins is to be read, and the one behind it.

        A request that is near the one before begins in the same word, the next or the one behind that, so that two bits
        tell them apart.
        """
        request = self.feed.request
        last, both = Signal(2), Signal()  # word of the request before; the one behind it is held too
        same = named(m, request.p.near & (place[:2] == last), "same")
        following = named(m, request.p.near & (place[0] != last[0]), "following")
        with m.If(request.valid):
            m.d.sync += [last.eq(place[:2]), both.eq(spans | (same & both))]
        return (
            named(m, request.valid & ~same & ~(following & both), "first"),
            named(m, request.valid & spans & ~(same & both), "second"),
        )

    def _held(self, m: Module, reads: Value) -> list[Signal]:
        """Return the words in their slots, two cycles after they were read."""
        came = delay(m, reads, 1, "came")
        held = []
        for slot in range(self.slots):
            register = Signal(8 * self.params.lanes, reset_less=True, name=f"held{slot}")
            choices = list(self.read_data)[slot :: self.slots]
            with m.If(Cat(came[slot :: self.slots]).any()):
                m.d.sync += register.eq(choices[0] if len(choices) == 1 else Mux(came[slot], *choices))
            held.append(register)
        return held

    def _rotate(
        self, m: Module, place: Value, shift: Value, held: list[Signal], others: list[tuple[Value, Value]]
    ) -> None:
        """Lane `l` is byte `(l + shift) % lanes` of the first word or, if that is less than `shift`, of the second.

        First each byte is chosen among the slots, then all of them are rotated. A lane that selects takes its own byte
        of any word so, or behind the rotation that of a neighbour.
        """
        ahead, lanes, bits, chosen = self.LATENCY - 1, self.params.lanes, self.slots.bit_length() - 1, []
        slots = [delay(m, other[:bits], ahead, f"other_slot_{number}") for number, (_, other) in enumerate(others, 1)]
        more = self._more(m, slots, held)
        selection = self._selection(m) if self.params.select else None
        for byte in range(lanes):
            behind = shift > byte if byte < lanes - 1 else 0  # the last byte never is of the second word
            slot: Value = delay(m, (place + behind)[:bits], ahead, f"slot{byte}")
            if selection is not None:
                slot = named(m, select([slot, *slots], selection.own[byte]), f"own_slot{byte}")
            chosen.append(select([register.word_select(byte, 8) for register in held], slot))
        rotated, amount = Cat(chosen), delay(m, shift, ahead, "shift")
        for bit in range(len(shift)):
            rotated = Mux(amount[bit], rotated.rotate_right(8 << bit), rotated)
        if selection is not None:
            rotated = self._crossed(rotated, more, selection)
        m.d.comb += self.feed.data.eq(delay(m, rotated, 1, "data"))
        m.d.comb += self.feed.valid.eq(delay(m, self.feed.request.valid, self.LATENCY, "valid", reset=True))

    def _selection(self, m: Module) -> LaneSelection:
        """Return what lanes select; a selector is taken in the cycle before its first bytes are."""
        request, port = self.feed.request, self.feed
        m.submodules.selection = selection = LaneSelection(self.params)
        swapped = delay(m, request.valid & request.p.swap, self.LATENCY - 2, "swapped", reset=True)
        m.d.comb += [
            port.selector_taken.eq(swapped),
            selection.load.eq(swapped),
            selection.selector.eq(port.selector),
            selection.enable.eq(request.p.select),
            selection.split.eq(request.p.split),
        ]
        return selection

    def _crossed(self, own: Value, more: list[Value], selection: LaneSelection) -> Value:
        """Return the bytes of all lanes: those that they have, or those that they take from their neighbours."""
        lanes = []
        for lane in range(self.params.lanes):
            takes = selection.others[lane]
            ways = [(~takes.any(), own.word_select(lane, 8))]
            for place, (number, other) in enumerate(crossings(lane, self.params.beat_words)):
                ways.append((takes[place], more[number - 1].word_select(other, 8)))
            lanes.append(gated(8, *ways))
        return Cat(lanes)
