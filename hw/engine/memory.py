"""The engine's activation memory: banks with one read and one write port each, shared by all that work on maps."""

from typing import Any

from amaranth.hdl import Module, Mux, Value
from amaranth.lib import wiring

from roundel.golden.engine import EngineParams
from roundel.hw.engine.memory_feed import FeedReader
from roundel.hw.engine.ports import feed_port, read_port, write_port
from roundel.hw.lib import Component, In, TwoPortMemory, delay, named, select


class ActivationMemory(Component):
    """Word `w` is in bank `w % banks`, row `w // banks`; each bank reads one word and writes one word a cycle.

    For every bank, `residual` and `boxes` go before `store`, and `feed` has two cycles to read: in the first it goes
    behind all others, in the second before them, see `FeedReader`; `target` goes before `load`. So `feed` and `target`
    never wait, and the others only in cycles in which a bank that they want is taken. A word can be read from the cycle
    after its transfer on; what is read while it is being written is not defined.

    Parameters
    ----------
    params
        The engine: `memory`, `banks`, `lanes`, `beat_words` and `select` matter here.
    """

    FEED_LATENCY = FeedReader.LATENCY  # cycles from a transfer to its data
    READ_LATENCY = 2  # bank, choice of the bank

    def __init__(self, params: EngineParams):
        self.params = params
        super().__init__(
            feed=In(
                feed_port(params),
                "Reads `lanes` bytes from any byte on, modulo `memory`: of one word or of two neighbours.",
            ),
            residual=In(read_port(params), "Reads words; shares its way out with `boxes`."),
            boxes=In(
                read_port(params),
                "Reads words, also those of factors in an engine with `gates`: there `residual` waits if both ask, "
                "else `boxes` does.",
            ),
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
        m.submodules.feeder = feeder = FeedReader(params)
        wiring.connect(m, wiring.flipped(self.feed), feeder.feed)
        m.d.comb += [data.eq(bank.read_data) for data, bank in zip(feeder.read_data, banks, strict=True)]
        self._write(m, banks)
        self._read(m, banks, feeder)
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

    def _read(self, m: Module, banks: list[TwoPortMemory], feeder: FeedReader) -> None:
        """Read words, each reader where those before it leave a bank; drives the banks' addresses."""
        residual, boxes, store = self.residual.request, self.boxes.request, self.store.request
        first, second = (boxes, residual) if self.params.gates else (residual, boxes)
        shared, shared_row = self._split(named(m, Mux(first.valid, first.payload, second.payload), "shared"))
        last, last_row = self._split(store.payload)
        wanted = residual.valid | boxes.valid
        takes = list(feeder.takes)
        shared_takes = [wanted & (shared == number) for number in range(len(banks))]
        shared_free = named(m, ~select(takes, shared), "shared_free")
        store_free = ~select([feed | words for feed, words in zip(takes, shared_takes, strict=True)], last)
        m.d.comb += [
            first.ready.eq(shared_free),
            second.ready.eq(shared_free & ~first.valid),
            store.ready.eq(store_free),
        ]
        for number, memory in enumerate(banks):
            store_takes = store.valid & (last == number)
            m.d.comb += feeder.lost[number].eq(takes[number] | shared_takes[number] | store_takes)
            place = min(number, feeder.rows - 1)
            rows = (
                (takes[number], feeder.takes_row[place]),
                (shared_takes[number], shared_row),
                (store_takes, last_row),
            )
            row: Value = feeder.tries_row[place]
            for taken, wanted_row in reversed(rows):
                row = Mux(taken, wanted_row, row)
            m.d.comb += [
                memory.read_en.eq(feeder.lost[number] | feeder.tries[number]),
                memory.read_addr.eq(row),
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
