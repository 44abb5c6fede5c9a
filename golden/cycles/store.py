"""How STORE reads the activation memory in the cycle model: word by word, where the compute unit leaves its bank."""

from collections.abc import Iterator

from roundel.golden.cycles.banks import Banks, WordReader, word_banks
from roundel.golden.cycles.events import Clock, Process
from roundel.golden.engine import Descriptor, EngineParams

AHEAD = 3  # hw/engine/compute/feeder: cycles that are always known, from `start` to before the first request
CHUNK = 16  # words that are read at once, if what is beside them is known


class StoreWords(WordReader):
    """The words of a STORE on their way to the bus.

    Parameters
    ----------
    params
        Of the engine.
    descriptor
        The STORE.
    banks
        What is beside it.
    start
        Cycle of the first request, if nothing is in its way.

    Attributes
    ----------
    free
        Cycle in which the last beat left the gearbox, or is to.
    """

    def __init__(self, params: EngineParams, descriptor: Descriptor, banks: Banks, start: int):
        self.params, self.descriptor = params, descriptor
        self.pieces = max(1, params.lanes // params.bus_bytes)  # beats of a word
        self.words = max(1, params.bus_bytes // params.lanes)  # words of a beat
        self.free, self.at = 0, -1  # the latter: when the last word was taken
        self.left, self.held = 0, 0  # words of the run that were not taken, beats of the last word that did not leave
        super().__init__(banks, self._masks(), start)

    def _masks(self) -> Iterator[int]:
        move, banks = self.descriptor, self.params.banks
        words = -(-move.run_bytes // self.params.lanes)
        for plane in range(move.planes):
            for run in range(move.runs):
                start = move.chip + plane * move.chip_plane + run * move.chip_run
                yield from word_banks(banks, start % banks, 1, words, 0)

    def begin(self) -> None:
        """Begin a run."""
        self.left, self.held = -(-self.descriptor.run_bytes // self.params.lanes), 0

    def read(self, beats: int, clock: Clock) -> Process:
        """Let beats of a run leave, one a cycle if their words are there; the last one in cycle `free`."""
        for _ in range(beats):
            for number in range(0 if self.held else min(self.words, self.left)):
                while not self.coming:
                    known = max(self.banks.known, clock.now + AHEAD)
                    if self.cycle > known:
                        yield max(clock.now + 1, self.cycle + min(self.left, CHUNK) - AHEAD)
                        continue
                    self.banks.reach(self.cycle)
                    self.step(self.banks.residual[self.cycle])
                    self.rest(known + 1)
                self.at = max(self.coming[0], self.at + 1, 0 if number else self.free)
                self.take(self.at)
                self.left -= 1
                self.held = self.pieces
            self.held -= 1
            self.free = max(self.at, self.free) + 1
