"""The window tables of one pass: which box is the best of each window."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data

from roundel.golden.nms import NmsParams
from roundel.hw.lib import Component, In, Out, TwoPortMemory, delay
from roundel.hw.nms.streams import corner_layout

Ranked = tuple[data.View, Value, Value]
"""A winner on its way up the tree: its row, whether it is of the epoch that is read, and its lane."""


def entry_layout(params: NmsParams) -> data.StructLayout:
    """Return what a table says of a winner: its beat and, for the overlap guard, its corners."""
    corners = {} if params.pyramid.guard is None else {"corners": corner_layout(params.format)}
    return data.StructLayout({"slot": slot_width(params)} | corners)


def slot_width(params: NmsParams) -> int:
    """Bits of the number of a beat within its image."""
    return max(1, (params.capacity // params.lanes - 1).bit_length())


class ScoreTable(Component):
    """Best score of every window, of the boxes that came in one lane. One box per cycle.

    Read, compare, write, over four cycles. A box whose window was written by one of the three before it takes the
    score from them, as the memory does not have it yet. Entries of earlier images carry another epoch: clearing takes
    no time.

    Parameters
    ----------
    params, words
        The unit, and how many windows there are.
    """

    LATENCY = 3

    def __init__(self, params: NmsParams, words: int):
        self.score_width, self.epoch_width = params.format.score_width, params.epoch_width
        self.memory = TwoPortMemory(width=self.score_width + self.epoch_width, depth=words)
        key = self.memory.read_addr.shape()
        super().__init__(
            valid=In(1, "There is a box, in cycle 0."),
            key=In(key, "Window of the box, in cycle 0."),
            epoch=In(self.epoch_width, "Epoch of its image, in cycle 0."),
            score=In(self.score_width, "Score of the box, in cycle 2."),
            better=Out(1, "The box is the best of its window so far, in cycle 3."),
            new_key=Out(key, "Window of the box, in cycle 3."),
            new_epoch=Out(self.epoch_width, "Epoch of its image, in cycle 3."),
            new_score=Out(self.score_width, "Score of the box if it is the best, in cycle 3."),
            clear=In(1, "Forget what window `clear_key` holds, while no box is on its way."),
            clear_key=In(key, "The window to clear."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.memory = memory = self.memory
        valid, key, epoch = ([value] for value in (self.valid, self.key, self.epoch))
        for name, chain in (("valid", valid), ("key", key), ("epoch", epoch)):
            for stage in range(1, 5):
                chain.append(delay(m, chain[-1], 1, f"{name}_at{stage}", reset=name == "valid"))
        score_4 = delay(m, self.new_score, 1, "score_at4")

        # Two bits of the epoch tell apart all images that can be on their way within four cycles.
        place = [Cat(key[stage], epoch[stage][:2]) for stage in range(5)]
        after = {stage: valid[stage] & (place[1] == place[stage]) for stage in (2, 3, 4)}
        collided = Signal(reset_less=True)  # what was read was being written: it may be anything

        # Cycle 1: what the memory says, which comes late, and the boxes two and three places ahead.
        known, row_epoch = Signal(reset_less=True), Signal(self.epoch_width, reset_less=True)
        row, ahead = Signal(self.score_width, reset_less=True), Signal(self.score_width, reset_less=True)
        chained = Signal(reset_less=True)
        m.d.comb += [memory.read_en.eq(self.valid), memory.read_addr.eq(self.key)]
        read_score, read_epoch = memory.read_data[: self.score_width], memory.read_data[self.score_width :]
        m.d.sync += [
            known.eq(after[3] | after[4]),
            row_epoch.eq(read_epoch),
            row.eq(read_score),
            ahead.eq(Mux(after[3], self.new_score, score_4)),
            chained.eq(after[2]),
            collided.eq(valid[4] & (key[1] == key[4])),
        ]

        # Cycle 2: the box just ahead has been compared meanwhile; of equal scores the earlier box stays.
        best = Mux(chained, self.new_score, Mux(known, ahead, row))
        fresh = chained | known | (~collided & (row_epoch == epoch[2]))
        better = ~fresh | (self.score > best)
        m.d.sync += [self.better.eq(valid[2] & better), self.new_score.eq(Mux(better, self.score, best))]
        m.d.comb += [self.new_key.eq(key[3]), self.new_epoch.eq(epoch[3])]

        m.d.comb += [
            memory.write_en.eq(self.better | self.clear),
            memory.write_addr.eq(Mux(self.clear, self.clear_key, self.new_key)),
            memory.write_data.eq(Mux(self.clear, 0, Cat(self.new_score, self.new_epoch))),
        ]
        return m


class PassTable(Component):
    """All tables of a pass: boxes of one image are entered while the winners of an earlier one are read.

    Every lane enters its boxes into a `ScoreTable` of its own; the names of winners go to memories that every lane
    reads, `lanes` x `lanes` of them, so that no two boxes ever wait for each other. A reader with several lanes picks
    the best of the lanes' winners.
    """

    def __init__(self, params: NmsParams, words: int):
        self.params, self.lanes = params, params.lanes
        self.entry_layout = entry_layout(params)
        self.scores = [ScoreTable(params, words) for _ in range(params.lanes)]
        self.key_width = len(self.scores[0].key)
        self.levels = (params.lanes - 1).bit_length()
        self.read_latency = 2 + self.levels
        # One lane reads only windows that its own image has entered; several need to see which lanes have.
        stamp = {"score": params.format.score_width, "epoch": params.epoch_width} if params.lanes > 1 else {}
        self.word = data.StructLayout({"entry": self.entry_layout} | stamp)
        depth = ((params.banks - 1) << self.key_width) + words
        size = self.word.size
        self.names = [[TwoPortMemory(width=size, depth=depth) for _ in self.scores] for _ in self.scores]
        bank, epoch, lanes = range(params.banks), params.epoch_width, params.lanes
        keys = data.ArrayLayout(self.key_width, lanes)
        super().__init__(
            valid=In(lanes, "Lanes that bring a box, in cycle 0."),
            key=In(keys, "Windows of the boxes by lane, in cycle 0."),
            epoch=In(epoch, "Epoch of their image, in cycle 0."),
            score=In(data.ArrayLayout(params.format.score_width, lanes), "Scores by lane, in cycle 2."),
            entry=In(data.ArrayLayout(self.entry_layout, lanes), "Entries by lane, should they win, in cycle 3."),
            bank=In(bank, "Bank of entries that the image uses, in cycle 3."),
            read_key=In(keys, "Windows by lane whose winners are wanted, in cycle 3."),
            read_bank=In(bank, "Bank of entries of the image that is read, in cycle 3."),
            read_epoch=In(epoch, "Epoch of the image that is read, in cycle 3."),
            winner=Out(data.ArrayLayout(self.entry_layout, lanes), "Winners by lane, `read_latency` cycles later."),
            winner_lane=Out(
                data.ArrayLayout(max(1, self.levels), lanes),
                "Lanes in which the winners came, by lane, `read_latency` cycles later.",
            ),
            clear=In(1, "Forget window `clear_key` of bank `clear_bank`."),
            clear_key=In(self.key_width, "The window to clear."),
            clear_bank=In(bank, "The bank to clear it in."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        for lane, table in enumerate(self.scores):
            m.submodules[f"scores_{lane}"] = table
            m.d.comb += [
                table.valid.eq(self.valid[lane]),
                table.key.eq(self.key[lane]),
                table.epoch.eq(self.epoch),
                table.score.eq(self.score[lane]),
                table.clear.eq(self.clear),
                table.clear_key.eq(self.clear_key),
            ]
        for reader in range(self.lanes):
            rows = [self._name(m, writer, reader) for writer in range(self.lanes)]
            winner, lane = self._best(m, rows, reader)
            m.d.comb += [self.winner[reader].eq(winner.entry), self.winner_lane[reader].eq(lane)]
        return m

    def _name(self, m: Module, writer: int, reader: int) -> data.View:
        """Register the word that the memory of one lane's winners gives this reader."""
        table, memory = self.scores[writer], self.names[writer][reader]
        m.submodules[f"names_{writer}_{reader}"] = memory
        several = self.lanes > 1
        written = Cat(self.entry[writer], Cat(table.new_score, table.new_epoch) if several else Cat())
        clear = self.clear if several else 0
        address = Cat(table.new_key, self.bank)
        row = Signal(self.word, name=f"row_{writer}_{reader}", reset_less=True)
        m.d.comb += [
            memory.read_en.eq(1),
            memory.read_addr.eq(Cat(self.read_key[reader], self.read_bank)),
            memory.write_en.eq(table.better | clear),
            memory.write_addr.eq(Mux(clear, Cat(self.clear_key, self.clear_bank), address)),
            memory.write_data.eq(Mux(clear, 0, written)),
        ]
        m.d.sync += row.as_value().eq(memory.read_data)
        return row

    def _best(self, m: Module, rows: list[data.View], reader: int) -> tuple[data.View, Value]:
        """Find the winner of all lanes: best score, then earliest beat, then lowest lane; a level per cycle."""
        if self.lanes == 1:
            return rows[0], Signal(1, name="only_lane")
        epoch = delay(m, self.read_epoch, 2, f"read_epoch_{reader}")
        candidates = [(row, row.epoch == epoch, Signal(self.levels, init=lane)) for lane, row in enumerate(rows)]
        for level in range(self.levels):
            pairs = zip(candidates[::2], candidates[1::2], strict=True)
            candidates = [self._better(m, *pair, f"{level}_{place}_{reader}") for place, pair in enumerate(pairs)]
        row, _, lane = candidates[0]
        return row, lane

    def _better(self, m: Module, low: Ranked, high: Ranked, name: str) -> Ranked:
        """Register the better of two winners, of which `low` has the lower lanes."""
        (row_a, fresh_a, lane_a), (row_b, fresh_b, lane_b) = low, high
        order_a, order_b = (Cat(~row.entry.slot, row.score) for row in (row_a, row_b))
        second = fresh_b & (~fresh_a | (order_b > order_a))
        row = Signal(self.word, name=f"best_{name}", reset_less=True)
        fresh, lane = Signal(name=f"fresh_{name}", reset_less=True), Signal(self.levels, name=f"lane_{name}")
        m.d.sync += [
            row.eq(Mux(second, row_b.as_value(), row_a.as_value())),
            fresh.eq(fresh_a | fresh_b),
            lane.eq(Mux(second, lane_b, lane_a)),
        ]
        return row, fresh, lane


class Sweep(Component):
    """Walks through all addresses of the tables, one a cycle, and keeps boxes out meanwhile.

    An epoch that comes again would make entries of long ago valid, and a reset does not reach into memories.

    Parameters
    ----------
    addresses
        How many there are.
    drain
        Cycles after which nothing is on its way any more, once no image is held.
    """

    def __init__(self, addresses: int, drain: int):
        self.addresses, self.drain = addresses, drain
        super().__init__(
            worn=In(1, "No epoch is left for the next image."),
            held=In(1, "Images are being filled or read."),
            pause=Out(1, "Take no box."),
            clear=Out(1, "Clear the window at `address`."),
            address=Out(range(max(2, addresses)), "Address of the window to clear."),
            restart=Out(1, "All windows are clear: begin with the first epoch."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        sweeping, still = Signal(init=1), Signal(range(self.drain + 1))
        m.d.comb += [
            self.pause.eq(sweeping | self.worn),
            self.clear.eq(sweeping),
            self.restart.eq(sweeping & (self.address == self.addresses - 1)),
        ]
        with m.If(sweeping):
            m.d.sync += self.address.eq(self.address + 1)
            with m.If(self.restart):
                m.d.sync += [sweeping.eq(0), self.address.eq(0)]
        with m.Elif(~self.worn | self.held):
            m.d.sync += still.eq(0)
        with m.Elif(still != self.drain):
            m.d.sync += still.eq(still + 1)
        with m.Else():
            m.d.sync += sweeping.eq(1)
        return m
