"""The activation unit in the cycle model: results that wait in its FIFO, and the array when there is no room."""

from collections import deque

from roundel.golden.cycles.banks import ResidualReader
from roundel.golden.engine import EngineParams

THROUGH = 2  # hw/engine/compute/activation: from a result of the array to where the unit can take it
LATENCY = 2  # hw/engine/compute/activation: from a word's last turn to its byte, and to the end of the layer


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

    Attributes
    ----------
    free
        First cycle in which the unit can take another word.
    """

    def __init__(self, params: EngineParams, begun: int, residual: ResidualReader | None):
        self.slow, self.fifo = params.columns // params.act_lanes, params.act_fifo
        self.residual, self.free = residual, begun
        self.left = deque[int](maxlen=self.fifo)  # when the last words left the FIFO

    def take(self, made: int) -> int:
        """Take a result that the array would give in cycle `made`; returns how long the array has to wait first."""
        waits = max(0, self.left[0] + 1 - made) if len(self.left) == self.fifo else 0
        begin = max(made + waits + THROUGH, self.free)
        if self.residual is not None:
            begin = self._with_residual(begin)
        self.free = begin + self.slow
        self.left.append(begin + self.slow - 1)
        return waits

    def _with_residual(self, cycle: int) -> int:
        """Take a residual, in that cycle at the earliest; returns the cycle."""
        assert self.residual is not None
        self.residual.run(cycle)
        while not self.residual.there(cycle):
            cycle += 1
            self.residual.run(cycle)
        self.residual.take(cycle)
        return cycle

    @property
    def end(self) -> int:
        """Cycle in which the layer is through."""
        return self.free - 1 + LATENCY
