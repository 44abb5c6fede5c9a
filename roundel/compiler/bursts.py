"""Tiles of layers with an activation: their results leave in bursts, for which the FIFO before the unit has to do.

The loop over steps is outside of that over positions, so that all results of an output block leave in its last step, a
word in each cycle; the activation unit takes a word in `columns / act_lanes` cycles. What the FIFO does not hold keeps
the array waiting. Small tiles have short bursts, but each begins the streams anew.
"""

from collections.abc import Callable
from dataclasses import dataclass

from roundel.compiler.area import Tiling
from roundel.golden.engine import EngineParams

PRICE = 1 / 64  # cycles that a beat of streams less is worth
SHARED = 3 / 2  # of a tile's beats on the bus: what others ask for comes between
LEAST = 16  # positions of a tile that is cut because of its burst
TILE = 4  # cycles that a tile costs beside its work
PARAMETERS = 5  # cycles that the parameters of an output block take beside one for each column


@dataclass(frozen=True, kw_only=True)
class Bursts:
    """What an operation does in each tile, as far as its bursts depend on it.

    Parameters
    ----------
    blocks
        Output blocks.
    steps, fetched
        Steps of a block, in the mean, and those of them that take weights from the stream.
    streamed
        Cycles in which the bus brings a tile's streams.
    beats
        Beats of a step in a tile of so many rows and columns.
    params
        Of the engine.
    """

    blocks: int
    steps: float
    fetched: float
    streamed: float
    beats: Callable[[int, int], int]
    params: EngineParams

    @property
    def slow(self) -> int:
        """Cycles that the unit takes for a word."""
        return self.params.columns // self.params.act_lanes

    def cycles(self, tiling: Tiling) -> float:
        """Cycles of all tiles, about, and of what is left in the FIFO behind the last one."""
        widths = ((tiling.tile_w, tiling.tiles_x - 1), (tiling.last_w, 1))
        heights = ((tiling.tile_h, tiling.tiles_y - 1), (tiling.last_h, 1))
        total = sum(x * y * self._tile(h, w) for h, y in heights for w, x in widths if x * y)
        return total + self._left(tiling.last_h, tiling.last_w) * self.slow

    def _tile(self, rows: int, columns: int) -> float:
        """Cycles of a tile: its blocks' steps, and what the array waits for the FIFO."""
        positions, beats = rows * columns, self.beats(rows, columns)
        step = max(beats, self.params.columns)
        work = self.fetched * step + (self.steps - self.fetched) * beats
        waits = max(0, (positions - self.params.act_fifo) * self.slow - beats)
        block = max(work + waits, positions * self.slow, self.params.columns + PARAMETERS)
        return max(self.blocks * block, SHARED * self.streamed) + TILE

    def _left(self, rows: int, columns: int) -> float:
        """Words in the FIFO when the last beat of a block has its result."""
        left = rows * columns - self.beats(rows, columns) / self.slow
        return max(0, min(left, self.params.act_fifo))

    def tiling(self, rows: int, columns: int, *, widest: int | None, even: bool) -> Tiling:
        """Return the tiles of fewest cycles, with a price for reading weights often; of equals the largest.

        Parameters
        ----------
        rows, columns
            Of the part that is computed.
        widest
            Columns of a tile at most; then there are as many tiles side by side whatever bursts allow. None: as many
            columns as the array holds.
        even
            Whether tiles begin at even rows and columns.
        """
        candidates = [Tiling.of(rows, columns, depth, widest=widest, even=even) for depth in self._depths()]
        if widest is not None:
            candidates = [tiling for tiling in candidates if tiling.tiles_x == candidates[0].tiles_x]
        return min(dict.fromkeys(candidates), key=self._cost)

    def _cost(self, tiling: Tiling) -> float:
        """Cycles of all tiles, and a price for their streams."""
        return self.cycles(tiling) + PRICE * tiling.tiles_x * tiling.tiles_y * self.streamed

    def _depths(self) -> list[int]:
        """Positions of tiles to try: all that the array holds, then what ever smaller bursts allow."""
        depth, slow = self.params.depth, self.slow
        if slow == 1:
            return [depth]
        whole = min(depth, self.params.act_fifo * slow // (slow - 1))
        depths, most = [depth], depth
        while most > LEAST:
            most = most * 3 // 4
            depths.append(most)
        return sorted({*depths, whole, min(depth, self.params.act_fifo)}, reverse=True)
