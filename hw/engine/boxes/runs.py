"""Runs of neighbouring bytes in words: the greatest byte of each, or byte by byte from the last to the first."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream

from roundel.golden.engine import EngineParams
from roundel.hw.engine.boxes.best import greater
from roundel.hw.engine.ports import word
from roundel.hw.lib import Component, In, Out, named

COUNT = 9
"""Bits of the bytes of a run: of the logits of a softmax, 257."""
ROUND = 4
"""Bits of the number of a round."""


def plan_layout() -> data.StructLayout:
    """Return what is done from a `begin` on.

    `count` is the bytes of a run, `rounds` the number of the last round, counted from 0. `parts`: a run has another
    byte, the ground, in front of it, or with `behind` behind it. `looping`: after the last round comes the first one
    again, with the next word; `endless`: there is no last one. `falling`: behind a run come its bytes from the last to
    the first, each as a run. `crossed`: of four bytes, the second and the third change places. `flipped`: bytes are
    signed.
    """
    flags = ("parts", "behind", "looping", "endless", "falling", "crossed", "flipped")
    return data.StructLayout({"count": COUNT, "rounds": ROUND} | dict.fromkeys(flags, 1))


def piece_layout(lanes: int) -> data.StructLayout:
    """Return the greatest byte of a run's part in a word, and its lane; `rank` is in the order of unsigned numbers.

    `first` and `last` piece of a run, its ground included; `ground`: this is that one, by itself.
    """
    return data.StructLayout({"rank": 8, "lane": range(lanes)} | dict.fromkeys(("first", "last", "ground"), 1))


class ByteRuns(Component):
    """Cuts words into runs, which begin and end at any lane, and looks for the greatest byte of each piece.

    A piece a cycle, offered `latency` cycles later: two levels of comparisons lie between registers.

    Parameters
    ----------
    params
        The engine's.
    """

    def __init__(self, params: EngineParams):
        self.params = params
        self.levels = params.lanes.bit_length() - 1
        self.latency = (self.levels + 1) // 2
        self.place = data.StructLayout({"rank": 8, "exists": 1, "lane": range(params.lanes)})
        super().__init__(
            begin=In(1, "Begin, with the first word that comes from now on."),
            stop=In(1, "Drop what is on its way, and take no more words."),
            plan=In(plan_layout(), "What to do; it stands still from `begin` to `stop`."),
            lane=In(range(params.lanes), "Lane of the first byte; with `begin`."),
            round=In(ROUND, "Number of the first round; with `begin`."),
            words=In(stream.Signature(word(params)), "The words."),
            pieces=Out(stream.Signature(piece_layout(params.lanes)), "The pieces."),
            cut=Out(1, "The last piece has been cut; until `begin`."),
            empty=Out(1, "No piece is on its way."),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        advance = Signal()
        lanes = self._lanes(m, *self._cut(m, advance))
        flags, valids = self._flags, list[Value]()
        for level in range(self.levels):
            better = [greater(*pair) for pair in zip(lanes[::2], lanes[1::2], strict=True)]
            lanes = [
                Signal(self.place, name=f"best_{level}_{number}", reset_less=True) for number in range(len(better))
            ]
            held = level % 2 == 1 or level == self.levels - 1
            domain = m.d.sync if held else m.d.comb
            with m.If(advance if held else Const(1)):
                domain += [lane.eq(best) for lane, best in zip(lanes, better, strict=True)]
            if held:
                following = Signal(flags.shape(), name=f"flags_{level}", reset_less=True)
                valid = Signal(name=f"valid_{level}")
                with m.If(self.stop):
                    m.d.sync += valid.eq(0)
                with m.Elif(advance):
                    m.d.sync += valid.eq(valids[-1] if valids else self._taken)
                with m.If(advance):
                    m.d.sync += following.eq(flags)
                flags = following
                valids.append(valid)
        piece = self.pieces.p
        m.d.comb += [
            advance.eq(~valids[-1] | self.pieces.ready),
            self.pieces.valid.eq(valids[-1]),
            self.empty.eq(~Cat(valids).any()),
            *(piece[name].eq(flags[name]) for name in ("first", "last", "ground")),
            piece.rank.eq(lanes[0].rank),
            piece.lane.eq(lanes[0].lane),
        ]
        return m

    def _cut(self, m: Module, advance: Value) -> tuple[Value, Value]:
        """Cut a piece off the word; returns its lowest lane, and how many lanes there are up to its end."""
        plan, lanes, words = self.plan, self.params.lanes, self.words
        lane, left = Signal.like(self.lane, name="at", reset_less=True), Signal(COUNT, reset_less=True)
        number, active, fresh = Signal(ROUND, reset_less=True), Signal(), Signal(reset_less=True)
        part, falls = Signal(reset_less=True), Signal(reset_less=True)  # of two; bytes of a run are on their way
        ground = named(m, plan.parts & (part == plan.behind), "ground")
        stop = named(m, lane + Mux(falls, 1, left), "stop")
        fits, full = named(m, stop <= lanes, "fits"), named(m, stop >= lanes, "full")
        ends = named(m, Mux(falls, left == 1, fits), "ends")
        whole = named(m, ends & (~plan.parts | part), "whole")
        turns = named(m, ends & plan.falling & ~falls, "turns")
        over = named(m, whole & ~turns & (number == plan.rounds) & ~plan.endless, "over")
        taken = named(m, words.valid & active & advance, "taken")
        self._flags = Signal(data.StructLayout(dict.fromkeys(("first", "last", "ground"), 1)), name="flags")
        self._taken = taken
        m.d.comb += [
            words.ready.eq(taken & ~turns & (Mux(falls, lane == 0, full) | over)),
            self.cut.eq(~active),
            self._flags.first.eq(fresh | falls),
            self._flags.last.eq(Mux(falls, 1, whole)),
            self._flags.ground.eq(ground),
        ]
        with m.If(taken):
            crossed = Cat(lane[0] ^ lane[1], ~lane[1], lane[2:])
            following = Mux(falls, lane - 1, Mux(plan.crossed, crossed, stop & fits.replicate(len(stop))))
            m.d.sync += [lane.eq(following), left.eq(left - Mux(falls, 1, lanes - lane)), fresh.eq(ends)]
            with m.If(ends):
                m.d.sync += [
                    left.eq(Mux(plan.parts & (plan.behind ^ part), 1, plan.count)),
                    part.eq(plan.parts & ~part),
                ]
            with m.If(turns):
                m.d.sync += [lane.eq(stop - 1), falls.eq(1)]
            with m.Elif(whole & ~over):
                m.d.sync += number.eq(number + 1)
            with m.Elif(over):
                m.d.sync += [number.eq(0), lane.eq(0), active.eq(plan.looping)]
        with m.If(self.stop):
            m.d.sync += active.eq(0)
        with m.If(self.begin):
            m.d.sync += [active.eq(1), fresh.eq(1), part.eq(0), falls.eq(0), number.eq(self.round), lane.eq(self.lane)]
            m.d.sync += left.eq(Mux(plan.parts & ~plan.behind, 1, plan.count))
        return lane, stop

    def _lanes(self, m: Module, low: Value, stop: Value) -> list[data.View]:
        """Return the lanes of the word, of which those of the piece exist."""
        lanes = []
        for number in range(self.params.lanes):
            lane, byte = Signal(self.place, name=f"lane_{number}"), self.words.payload.word_select(number, 8)
            m.d.comb += [
                lane.lane.eq(number),
                lane.rank.eq(Cat(byte[:7], byte[7] ^ self.plan.flipped)),
                lane.exists.eq((low <= number) & (stop > number)),
            ]
            lanes.append(lane)
        return lanes
