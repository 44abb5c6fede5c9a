"""The engine's activation memory: banks with one read and one write port each, shared by all that work on maps."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value

from roundel.golden.engine import EngineParams
from roundel.hw.engine.ports import feed_port, read_port, write_port
from roundel.hw.lib import Component, In, TwoPortMemory, delay, named, select


class ActivationMemory(Component):
    """Word `w` is in bank `w % banks`, row `w // banks`; each bank reads one word and writes one word a cycle.

    For every bank, `feed` goes before `residual` and `boxes`, those before `store`; and `target` before `load`. So
    `feed` and `target` never wait, and the others only in cycles in which a bank that they want is taken. A word can
    be read from the cycle after its transfer on; what is read while it is being written is not defined.

    Parameters
    ----------
    params
        The engine: `memory`, `banks` and `lanes` matter here.
    """

    FEED_LATENCY = 3  # cycles from a transfer to its data: bank, choice of the bank, rotation
    READ_LATENCY = 2  # bank, choice of the bank

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            feed=In(
                feed_port(params),
                "Reads `lanes` bytes from any byte on, modulo `memory`: of one word or of two neighbours.",
            ),
            residual=In(read_port(params), "Reads words; shares its way out with `boxes`."),
            boxes=In(read_port(params), "Reads words; waits in a cycle in which `residual` asks too."),
            store=In(read_port(params), "Reads words."),
            target=In(write_port(params), "Writes words."),
            load=In(write_port(params), "Writes words."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        params, banks = self.params, []
        for number in range(params.banks):
            bank = TwoPortMemory(width=8 * params.lanes, depth=params.words // params.banks)
            m.submodules[f"bank{number}"] = bank
            banks.append(bank)
        self._write(m, banks)
        taken = self._feed(m, banks)
        self._read(m, banks, taken)
        return m

    def _split(self, word: Value) -> tuple[Value, Value]:
        """Bank and row of a word."""
        bits = self.params.banks.bit_length() - 1
        return word[:bits], word[bits:]

    def _write(self, m: Module, banks: list[TwoPortMemory]) -> None:
        """Two writers; the first one's bank is closed to the second."""
        target, load = self.target.request, self.load.request
        (first, first_row), (second, second_row) = (self._split(port.p.address) for port in (target, load))
        m.d.comb += [target.ready.eq(1), load.ready.eq(~(target.valid & (first == second)))]
        for number, bank in enumerate(banks):
            chosen = named(m, target.valid & (first == number), f"target{number}")
            m.d.comb += [
                bank.write_en.eq(chosen | (load.valid & (second == number))),
                bank.write_addr.eq(Mux(chosen, first_row, second_row)),
                bank.write_data.eq(Mux(chosen, target.p.data, load.p.data)),
            ]

    def _feed(self, m: Module, banks: list[TwoPortMemory]) -> list[Signal]:
        """Read for the feeder; returns the banks that it takes.

        Lane `l` is byte `(l + shift) % lanes` of the word or, if less than `shift`, of the one behind it: first each
        byte is chosen among the banks, then all of them are rotated.
        """
        request, lanes = self.feed.request, self.params.lanes
        shift = request.payload[: lanes.bit_length() - 1]
        bank, _ = self._split(request.payload[len(shift) :])
        m.d.comb += request.ready.eq(1)
        m.d.comb += self.feed.valid.eq(delay(m, request.valid, self.FEED_LATENCY, "feed_valid", reset=True))
        chosen = []
        for byte in range(lanes):
            behind = shift > byte if byte < lanes - 1 else 0  # the last byte never is of the second word
            index = delay(m, (bank + behind)[: len(bank)], 1, f"feed_index{byte}")
            choices = [memory.read_data.word_select(byte, 8) for memory in banks]
            chosen.append(delay(m, select(choices, index), 1, f"feed_byte{byte}"))
        rotated, amount = Cat(chosen), delay(m, shift, 2, "feed_shift")
        for bit in range(len(shift)):
            rotated = Mux(amount[bit], rotated.rotate_right(8 << bit), rotated)
        m.d.comb += self.feed.data.eq(delay(m, rotated, 1, "feed_data"))
        spans = named(m, shift.any(), "spans")
        before = [(number - 1) % len(banks) for number in range(len(banks))]
        return [
            named(m, request.valid & ((bank == number) | (spans & (bank == before[number]))), f"feed_takes{number}")
            for number in range(len(banks))
        ]

    def _read(self, m: Module, banks: list[TwoPortMemory], taken: list[Signal]) -> None:
        """Read words, each reader where those before it leave a bank; drives the banks' addresses."""
        residual, boxes, store = self.residual.request, self.boxes.request, self.store.request
        bank, row = self._split(self.feed.request.payload[self.params.lanes.bit_length() - 1 :])
        shared, shared_row = self._split(named(m, Mux(residual.valid, residual.payload, boxes.payload), "shared"))
        last, last_row = self._split(store.payload)
        wanted = residual.valid | boxes.valid
        shared_takes = [wanted & (shared == number) for number in range(len(banks))]
        shared_free = named(m, ~select(list(taken), shared), "shared_free")
        store_free = ~select([feed | words for feed, words in zip(taken, shared_takes, strict=True)], last)
        m.d.comb += [
            residual.ready.eq(shared_free),
            boxes.ready.eq(shared_free & ~residual.valid),
            store.ready.eq(store_free),
        ]
        for number, memory in enumerate(banks):
            # Only bank 0 can hold the second of the feeder's words in another row: the one behind.
            feed_row = (row + bank.all())[: len(row)] if number == 0 else row
            m.d.comb += [
                memory.read_en.eq(taken[number] | shared_takes[number] | (store.valid & (last == number))),
                memory.read_addr.eq(Mux(taken[number], feed_row, Mux(shared_takes[number], shared_row, last_row))),
            ]
        shared_data, store_data = (self._chosen(m, banks, *port) for port in ((shared, "shared"), (last, "store")))
        for name, data in (("residual", shared_data), ("boxes", shared_data), ("store", store_data)):
            port = getattr(self, name)
            given = port.request.valid & port.request.ready
            m.d.comb += port.data.eq(data)
            m.d.comb += port.valid.eq(delay(m, given, self.READ_LATENCY, f"{name}_valid", reset=True))

    def _chosen(self, m: Module, banks: list[TwoPortMemory], bank: Value, name: str) -> Value:
        """Return the word that comes from a bank, `READ_LATENCY` cycles later."""
        index = delay(m, bank, 1, f"{name}_bank")
        return delay(m, select([memory.read_data for memory in banks], index), 1, f"{name}_data")
