"""The banks of the activation memory in the cycle model: which of them are read in which cycle, and who has to wait."""

from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from roundel.golden.engine import Descriptor, EngineParams

READ = 3  # roundel.hw.engine.reader: from a request to the word
DEPTH = 16  # roundel.hw.engine.reader: words that are on their way or wait
SPARE = 2  # roundel.hw.engine.reader: of them, those that must be free, as of the cycle before
NEAR = 2  # roundel.hw.engine.compute.row_beats: words; beats less than so far apart read no word twice
SLOTS = 4  # roundel.hw.engine.memory_feed

Masks = TypeVar("Masks", int, NDArray[np.int64])
"""Banks or slots, a bit each: of one beat, or of several."""


class Banks:
    """What feeder and residual want of the banks, cycle by cycle, a bit a bank.

    Attributes
    ----------
    tries
        Banks that the feeder reads in this cycle or, if others want them, in the next one.
    forced
        Of these, banks that it reads in the next cycle in any case.
    residual
        The bank that the residual wants; STORE cannot have it.
    known
        Last cycle up to which all that the compute unit was told to do is in here.
    """

    def __init__(self) -> None:
        self.tries, self.forced, self.residual = (bytearray(1 << 16) for _ in range(3))
        self.known = 0

    def reach(self, cycle: int) -> None:
        """Have room for that many cycles."""
        if cycle >= len(self.tries):
            more = bytes(max(cycle + 1 - len(self.tries), len(self.tries)))
            for timeline in (self.tries, self.forced, self.residual):
                timeline.extend(more)

    def feed(self, cycle: int, tries: bytes, forced: bytes) -> None:
        """Let the feeder read from a cycle on, in every cycle for the next beat."""
        end = cycle + len(tries)
        self.reach(end)
        self.tries[cycle:end], self.forced[cycle:end] = tries, forced
        self.known = max(self.known, end - 1)


def feed_slots(params: EngineParams) -> int:
    """Return how many words the feeder holds, if there are as many banks."""
    return max(SLOTS, params.beat_words)


def slots_as_banks(used: Masks, banks: int, slots: int = SLOTS) -> Masks:
    """Return the banks whose words go to such slots, all of them bit by bit."""
    return used | used << slots if banks > slots else used


@lru_cache(maxsize=1 << 14)
def step_banks(
    lanes: int,
    banks: int,
    start: int,
    h: int,
    beats: int,
    x_step: int,
    y_step: int,
    upsample: bool,
    slots: int = SLOTS,
    places: tuple[int, ...] = (),
) -> tuple[bytes, bytes, int]:
    """Banks that the feeder reads for every beat of a step, as `roundel.hw.engine.memory_feed` does.

    A beat reads the word in which it begins and, unless it begins there with lane 0, the one behind; but not those
    that the beat before had read, if their distance is short.

    Parameters
    ----------
    lanes, banks
        Of the engine.
    start, x_step, y_step
        Byte address of the first beat, from beat to beat and from row to row.
    h, beats
        Rows, and beats of each.
    upsample
        Whether every row and every column counts twice.
    slots
        Words that the feeder holds, if there are as many banks.
    places
        Where the words behind the first of a beat are, in words from the first.

    Returns
    -------
    tries, forced
        A byte for every beat, see `Banks`.
    used
        Slots of the last beat, a bit a slot.
    """
    slots = min(slots, banks)
    x, y = np.arange(beats) >> upsample, np.arange(h) >> upsample
    words, offsets = np.divmod(start + y[:, None] * y_step + x * x_step, lanes)
    spans = offsets != 0
    first, second = np.ones_like(spans), spans.copy()
    if x_step < NEAR * lanes:
        same, following = words[:, 1:] == words[:, :-1], words[:, 1:] == words[:, :-1] + 1
        first[:, 1:] = ~(same | following & spans[:, :-1])
        second[:, 1:] &= ~(same & spans[:, :-1])
    tries = (first << words % banks) | (second << (words + 1) % banks)
    used = (1 << words % slots) | (spans << (words + 1) % slots)
    for place in places:
        tries, used = tries | 1 << (words + place) % banks, used | 1 << (words + place) % slots
    tries, used = tries.ravel(), used.ravel()
    forced = tries.copy()
    forced[0] = 0
    forced[1:] &= slots_as_banks(used[:-1], banks, slots)
    return tries.astype(np.uint8).tobytes(), forced.astype(np.uint8).tobytes(), int(used[-1])


@lru_cache(maxsize=1 << 12)
def word_banks(banks: int, start: int, rows: int, words: int, step: int, apart: int = 1) -> bytes:
    """Banks of the words of some rows, a bit a bank: `step` words from row to row, `apart` from word to word."""
    places = start + np.arange(rows)[:, None] * step + np.arange(words) * apart
    return (1 << places % banks).astype(np.uint8).tobytes()


class WordReader:
    """The hardware's `WordReader`: asks for a word in every cycle in which it has room and its bank is free.

    Parameters
    ----------
    banks
        What is beside it.
    masks
        The bank of each word, as a mask.
    start
        First cycle in which it may ask.
    """

    def __init__(self, banks: Banks, masks: Iterator[int], start: int):
        self.banks, self.masks, self.cycle = banks, masks, start
        self.mask = next(masks, 0)  # of the next word
        self.late = 0  # banks that the feeder reads in this cycle, before all others
        self.asked: deque[int] = deque([-9, -9], 2)  # last two requests
        self.coming: deque[int] = deque()  # when words can be taken
        self.taken: deque[int] = deque()  # when the last words were
        self.room = DEPTH

    def step(self, others: int) -> int:
        """Ask for the next word if that is possible in this cycle, then go to the next one.

        Parameters
        ----------
        others
            Banks that others want, who go before.

        Returns
        -------
        The bank that it wanted, as a mask; 0 if it had no room.
        """
        banks, cycle = self.banks, self.cycle
        wanted = self.mask if self._open(cycle) else 0
        claimed = self.late | others
        if wanted & ~claimed:
            self.asked.append(cycle)
            self.coming.append(cycle + READ)
            self.room -= 1
            self.mask = next(self.masks, 0)
        self.late = banks.tries[cycle] & (banks.forced[cycle] | claimed | wanted)
        self.cycle += 1
        return wanted

    def rest(self, until: int) -> None:
        """Let cycles pass in which there is no room for a request: until a word was taken, or to that cycle."""
        if self.room <= SPARE and self.cycle > self.asked[-1] + READ:
            until = min(until, self.taken[0] + 2) if self.taken else until
            if until > self.cycle:
                self.late = self.banks.tries[until - 1] & self.banks.forced[until - 1]
                self.cycle = until

    def take(self, cycle: int) -> None:
        """Take the word that came first."""
        self.coming.popleft()
        self.taken.append(cycle)

    def _open(self, cycle: int) -> bool:
        """Whether it may ask in a cycle, by what it knows of its room."""
        while self.taken and self.taken[0] < cycle - 1:
            self.room += 1
            self.taken.popleft()
        return self.room + sum(at > cycle - READ for at in self.asked) > SPARE


class ResidualReader(WordReader):
    """The residual's: it goes before STORE."""

    def run(self, cycle: int) -> None:
        """Go on up to and with a cycle; what the feeder reads until then is noted."""
        self.banks.reach(cycle)
        while self.cycle <= cycle and self.mask:
            at = self.cycle
            self.banks.residual[at] |= self.step(0)
            self.rest(cycle + 1)

    def there(self, cycle: int) -> bool:
        """Whether a word can be taken in a cycle."""
        return bool(self.coming) and self.coming[0] <= cycle


def residual_words(params: EngineParams, layer: Descriptor, tiles: list[tuple[int, int]]) -> Iterator[int]:
    """Banks of a layer's residual, a mask for every word, in the order of the results."""
    apart = layer.skip + 1
    for number, (w, h) in enumerate(tiles):
        y, x = divmod(number, layer.tiles_x)
        tile = layer.residual + y * layer.residual_tile + x * layer.tile_w * apart
        for block in range(layer.blocks):
            start = (tile + block * layer.residual_plane) % params.banks
            yield from word_banks(params.banks, start, h, w, layer.residual_row % params.banks, apart)
