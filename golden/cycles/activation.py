"""The activation unit in the cycle model: results that wait in its FIFO, and the array when there is no room."""

from collections import deque

from roundel.golden.cycles.banks import ResidualReader
from roundel.golden.engine import EngineParams

SEEN = 1  # hw/lib/fifo: from where a word is put to where it can be read ahead, and from there to where it is seen
LATENCY = 2  # hw/engine/compute/activation, results: from a word's last turn and its byte to the end of the layer
DIGITS = 2  # hw/engine/compute/sums: words that are written behind a row, of sums


class ActivationUnit:
    """Takes the results of a layer, each when its FIFO has room, and works on one after the other.

    Parameters
    ----------
    params
        Of the engine.
    begun
        Cycle in which the layer begins.
    residual
        What reads the residual of the layer; None without one.
    sums
        Whether sums of rows are written.

    Attributes
    ----------
    slopes_taken
        Cycle in which the slopes of the output block that came last are taken: the next block's first beat waits.
    """

    def __init__(self, params: EngineParams, begun: int, residual: ResidualReader | None, *, sums: bool = False):
        self.slow, self.fifo, self.sums = params.columns // params.act_lanes, params.act_fifo, sums
        self.residual, self.slopes_taken = residual, begun
        self.over = begun  # last turn of the word before
        self.read = deque[int](maxlen=self.fifo)  # when the last words were read ahead, so that their places are free

    def take(self, made: int, *, fresh: bool, row_end: bool = False) -> int:
        """Take a result of the array; returns how long the array has to wait first.

        Parameters
        ----------
        made
            Cycle in which the array would give it.
        fresh
            Whether it is the first one of an output block.
        row_end
            Whether it is the last one of a row: with sums their digits come before the next one.
        """
        waits = max(0, self.read[0] + 1 - made) if len(self.read) == self.fifo else 0
        read = max(made + waits + SEEN, self.over)
        begin = read + SEEN
        if fresh:
            self.slopes_taken, begin = begin, begin + 1
        if self.residual is not None:
            begin = self._with_residual(self.residual, begin)
        self.read.append(read)
        self.over = begin + self.slow - 1
        if self.sums and row_end:
            self.over += max(0, DIGITS + 1 - self.slow)
        return waits

    def _with_residual(self, residual: ResidualReader, cycle: int) -> int:
        """Begin when the residual is there, in a cycle at the earliest; returns that cycle."""
        residual.run(cycle)
        while not residual.there(cycle):
            cycle += 1
            residual.run(cycle)
        residual.run(cycle + self.slow - 1)
        residual.take(cycle + self.slow - 1)
        return cycle

    @property
    def end(self) -> int:
        """Cycle in which the layer is through."""
        late = min(DIGITS, self.slow - 1) if self.sums else 0  # the digits of the last row, as far as not in `over`
        return self.over + 1 + LATENCY + late
