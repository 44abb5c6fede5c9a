"""What lanes take of the words of a beat, where weights keep a pattern of channels: their own byte or a neighbour's."""

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value

from roundel.golden.engine import CHOICE, SELECTOR_BITS, EngineParams
from roundel.hw.lib import Component, In, Out, gated

NEAR = CHOICE // 2
"""Lanes that lie together where two words are read."""


def crossings(lane: int, words: int) -> list[tuple[int, int]]:
    """Return the bytes of other lanes that a lane may take, each as word of the beat and lane.

    Of each eight bytes as many meet the array as there are lanes among them. A lane of which two or more are wanted
    takes the one of the lowest word itself. So those for other lanes are never of word 0.

    Parameters
    ----------
    lane
        The lane.
    words
        Words of a beat, at most.
    """
    found = [(1, lane ^ other) for other in range(1, NEAR)]  # of two words with four lanes each
    return found + ([(word, lane ^ 1) for word in (2, 3)] if words > 2 else [])  # of four words with two lanes each


class LaneSelection(Component):
    """Holds the selector of a step, and says what each lane takes. The outputs belong to the cycle after `load`.

    Parameters
    ----------
    params
        The engine: `lanes` and `beat_words` matter here.
    """

    def __init__(self, params: EngineParams):
        self.lanes, self.words = params.lanes, params.beat_words
        bits = self.words.bit_length() - 1
        count = len(crossings(0, self.words))
        super().__init__(
            selector=In(SELECTOR_BITS * self.lanes, "Of a step: `SELECTOR_BITS` for each lane."),
            load=In(1, "The selector counts from the next cycle on."),
            enable=In(1, "The layer has selectors; else lanes take word 0."),
            split=In(2, "Base-2 logarithm of the words that lanes select among."),
            own=Out(bits, "The word of whose byte in its own lane a lane takes, if it takes none of `others`.").array(
                self.lanes
            ),
            others=Out(count, "Which of its `crossings` a lane takes; at most one.").array(self.lanes),
        )

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        held = Signal.like(self.selector, reset_less=True)
        with m.If(self.load):
            m.d.sync += held.eq(self.selector)
        for lane in range(self.lanes):
            choice, words, crosses = held.word_select(lane, SELECTOR_BITS), [], list[Value]()
            for split in range(1, self.words.bit_length()):
                side = SELECTOR_BITS - split  # bits of the lane, below those of the word
                words.append((self.enable & (self.split == split), choice[side:]))
            for word, other in crossings(lane, self.words):
                crosses.append(self.enable & self._crosses(choice, lane, word, other))
            m.d.comb += [self.own[lane].eq(gated(len(self.own[lane]), *words)), self.others[lane].eq(Cat(crosses))]
        return m

    def _crosses(self, choice: Value, lane: int, word: int, other: int) -> Value:
        """Whether a lane takes the byte of another one; that its word is not 0 is known."""
        ways = []
        if word == 1:
            ways.append((self.split == 1) & (choice[:2] == other % NEAR))
        if self.words > 2 and other == lane ^ 1:
            ways.append((self.split == 2) & (choice[0] == other % 2) & (choice[1:] == word))
        return Cat(ways).any()
