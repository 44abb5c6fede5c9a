"""Bands of resident maps that are loaded or stored: transfers overlap with the computation."""

from dataclasses import dataclass
from itertools import accumulate

from roundel.compiler.area import balanced
from roundel.compiler.operation import STREAM_PART, Operation
from roundel.golden.engine import DESCRIPTOR_BYTES, STEP_BYTES, EngineParams, column_bytes

PRICE = 1 / 8  # cycles that a beat of weights less is worth
BANDS = 16  # at most
LATENCY = 25  # cycles from a command to the first beat, or from the last beat to the response
DECODE = 14  # cycles from a weight stream's first beat to its first weights
GAP = 18  # cycles between computations: the pipeline empties and fills


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """An operation beside which its source is loaded, its result is stored, or both.

    Parameters
    ----------
    operation
        The operation; all its maps are resident.
    loads, stores
        Whether its source is loaded, and whether its result is stored.
    params
        Parameters of the engine.
    """

    operation: Operation
    loads: bool
    stores: bool
    params: EngineParams

    def best(self) -> tuple[tuple[int, ...], float]:
        """Heights of the bands, from the top, that take fewest cycles, and how many these are, about.

        Every band reads all weights again, which costs energy: some more cycles are worth to do so less often.
        """
        heights = min(self._candidates(), key=lambda cut: self.cycles(cut) + PRICE * self._weights(cut))
        return heights, self.cycles(heights)

    def _weights(self, heights: tuple[int, ...]) -> float:
        """Beats of all weight and parameter streams."""
        return sum(self._computing(height)[1] for height in heights)

    def _candidates(self) -> list[tuple[int, ...]]:
        """Bands of one height, of whole tiles if they are higher than one; also with short first and last ones."""
        rows, grain = self.operation.target.storage.rows, self.operation.grain
        if not (self.loads or self.stores):
            return [(rows,)]
        unit = tile_rows(self.operation, self.operation.target.storage.columns, self.params)
        candidates = []
        for count in range(1, BANDS + 1):
            height = balanced(rows, -(-rows // count), grain)
            height = height if height < unit else height // unit * unit
            for first in {height, _part(height, 2, grain), _part(height, 4, grain)}:
                for last in {height, _part(height, 2, grain), _part(height, 4, grain)}:
                    inner = (rows - first - last) // grain * grain
                    if count > 2 and inner > 0:
                        middle = balanced(inner, -(-inner // (count - 2)), grain)
                        candidates.append((first, *_pieces(inner, middle), rows - first - inner))
            candidates.append(_pieces(rows, height))
        return list(dict.fromkeys(candidates))

    def cycles(self, heights: tuple[int, ...]) -> float:
        """Until the last result is stored: every unit works through the bands, and waits for the one before it.

        A band's weights share the bus with what is loaded for the next band.
        """
        params, target = self.params, self.operation.target.storage
        descriptor, row = DESCRIPTOR_BYTES / params.bus_bytes, target.columns * target.planes * params.lanes
        loads = [*self._loads(heights), 0.0]
        reading, computed, stored = loads[0] + 2 * descriptor, 0.0, 0.0
        for number, height in enumerate(heights):
            computing, weights = self._computing(height)
            begun, after = max(computed + GAP, reading + LATENCY), loads[number + 1]
            after += (1 + (after > 0) + self.stores) * descriptor
            computed = max(begun + computing, reading + LATENCY + weights + min(weights, after) + DECODE)
            reading += weights + after
            if self.stores:
                stored = max(stored, computed) + LATENCY + height * row / params.bus_bytes
        return max(stored + LATENCY, computed)

    def _loads(self, heights: tuple[int, ...]) -> list[float]:
        """Beats of the source's rows that each band needs beyond those of the bands before it."""
        operation, source, words = self.operation, self.operation.source.storage, []
        row = source.words_of(source.columns) * source.planes * self.params.lanes / self.params.bus_bytes
        loaded = 0
        for top in accumulate(heights):
            last = (top - 1) // operation.phases * operation.stride + operation.reach[1] + 1
            last = max(loaded, min(source.rows, last)) if self.loads else 0
            words.append((last - loaded) * row)
            loaded = last
        return words

    def _computing(self, height: int) -> tuple[float, float]:
        """Cycles of a band's beats, and those in which its weights and parameters are read."""
        operation, params = self.operation, self.params
        rows, columns = operation.positions(height, operation.target.storage.columns)
        tiling = operation.tiling(rows, columns, params)
        tiles = tiling.tiles_x * tiling.tiles_y
        beats = operation.beats(rows, columns)
        streams = operation.fetched * params.lanes * params.columns * STREAM_PART + operation.kept * STEP_BYTES
        streams += operation.blocks * params.columns * column_bytes(params)
        weights = tiles * streams / params.bus_bytes
        computing = operation.computing(beats, tiles, params.columns)
        return max(computing, operation.activating(tiling, params)), weights


def tile_rows(operation: Operation, columns: int, params: EngineParams) -> int:
    """Rows of results that a tile's worth of each phase covers, when all rows of so many columns are computed."""
    positions = operation.positions(operation.target.storage.rows, columns)
    return operation.tiling(*positions, params).tile_h * operation.phases


def _part(height: int, parts: int, grain: int) -> int:
    return max(grain, -(-height // (parts * grain)) * grain)


def _pieces(rows: int, height: int) -> tuple[int, ...]:
    return tuple(min(height, rows - first) for first in range(0, rows, height))
