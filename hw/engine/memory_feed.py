"""How the feeder reads the banks of the activation memory: each word of a row once, and where others leave a bank."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from roundel.golden.engine import EngineParams
from roundel.hw.engine.ports import feed_port, word
from roundel.hw.lib import Component, In, Out, delay, named, select

SLOTS = 4
"""Most words that are held: those of a beat, and those that are read ahead of the next."""


class FeedReader(Component):
    """Lanes from any byte on: of a word, or of two neighbours. A request a cycle; it never waits.

    The words of a request are held, each in the slot of its bank, for the next one, which says if it is `near`. What a
    request needs besides is read in the first cycle, if nobody else wants that bank and the slot is not that of a word
    of the request before; else in the second, before all others.

    Parameters
    ----------
    params
        The engine: `memory`, `banks` and `lanes` matter here.
    """

    LATENCY = 4  # cycles from a transfer to its data: two in which to read, choice of the bytes, rotation

    def __init__(self, params: EngineParams):
        self.params, self.slots = params, min(SLOTS, params.banks)
        row = range(params.words // params.banks)
        super().__init__(
            feed=In(feed_port(params), "The feeder's port."),
            tries=Out(params.banks, "Banks that it reads in this cycle unless they are `lost`."),
            lost=In(params.banks, "Banks that others read."),
            takes=Out(params.banks, "Banks that it reads in this cycle, before all others."),
            tries_row=Out(row, "Rows that it tries: of bank 0 and of all others.").array(2),
            takes_row=Out(row, "Rows that it takes: of bank 0 and of all others.").array(2),
            read_data=In(word(params), "What each bank gave.").array(params.banks),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        request, count = self.feed.request, self.params.banks
        address, shift_bits, bank_bits = request.p.address, self.params.lanes.bit_length() - 1, count.bit_length() - 1
        shift, place = address[:shift_bits], address[shift_bits:]
        bank, row = place[:bank_bits], place[bank_bits:]
        first, second = self._wanted(m, place, shift.any())
        wanted, own = Signal(count), Signal(count)  # banks of words to be read; of all words of the request
        for number in range(count):
            here, behind = bank == number, bank == (number - 1) % count
            m.d.comb += wanted[number].eq(first & here | second & behind)
            m.d.comb += own[number].eq(request.valid & (here | shift.any() & behind))
        busy = Signal(self.slots)  # slots of the request before
        m.d.sync += busy.eq(Cat(Cat(own[slot :: self.slots]).any() for slot in range(self.slots)))
        got = named(m, self.tries & ~self.lost, "got")
        m.d.comb += [
            request.ready.eq(1),
            self.tries.eq(wanted & ~Cat(busy[number % self.slots] for number in range(count))),
            # Only bank 0 can hold the second word in another row: the one behind.
            Cat(self.tries_row).eq(Cat((row + bank.all())[: len(row)], row)),
        ]
        m.d.sync += self.takes.eq(wanted & ~got)
        m.d.sync += Cat(self.takes_row).eq(Cat(self.tries_row))
        held = self._held(m, got | self.takes)
        self._rotate(m, place, shift, held)
        return m

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

    def _rotate(self, m: Module, place: Value, shift: Value, held: list[Signal]) -> None:
        """Lane `l` is byte `(l + shift) % lanes` of the first word or, if that is less than `shift`, of the second.

        First each byte is chosen among the slots, then all of them are rotated.
        """
        ahead, lanes, chosen = self.LATENCY - 1, self.params.lanes, []
        for byte in range(lanes):
            behind = shift > byte if byte < lanes - 1 else 0  # the last byte never is of the second word
            slot = delay(m, (place + behind)[: self.slots.bit_length() - 1], ahead, f"slot{byte}")
            chosen.append(select([register.word_select(byte, 8) for register in held], slot))
        rotated, amount = Cat(chosen), delay(m, shift, ahead, "shift")
        for bit in range(len(shift)):
            rotated = Mux(amount[bit], rotated.rotate_right(8 << bit), rotated)
        m.d.comb += self.feed.data.eq(delay(m, rotated, 1, "data"))
        m.d.comb += self.feed.valid.eq(delay(m, self.feed.request.valid, self.LATENCY, "valid", reset=True))
