"""Tiling of streamed maps: an operation works in bands of rows, and in strips of these bands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import lcm

from roundel.compiler.area import balanced
from roundel.compiler.operation import STREAM_PART, Operation
from roundel.compiler.planning.packing import Taken, first_fit
from roundel.compiler.planning.streaming import tile_rows
from roundel.compiler.tensor import Tensor
from roundel.golden.engine import DESCRIPTOR_BYTES, STEP_BYTES, EngineParams

STRIPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
RUN = 4  # cycles that a run costs beyond its bytes
OVERHEAD = 50  # cycles around a part's computation: the first weights, the last results
TAPERS = 4  # last bands, each half of the one before


@dataclass(frozen=True, kw_only=True)
class Bands:
    """The tiling of an operation, and its buffers.

    Parameters
    ----------
    heights, columns
        Parts of the result: rows of each band from the top, and columns of a strip.
    buffers
        First words of the buffers of each streamed operand (`source`, `addend`, `residual`, `gate`, `target`): one
        buffer, or two for double buffering.
    cycles
        Cycles of the operation, a rough estimate.
    """

    heights: tuple[int, ...]
    columns: int
    buffers: Mapping[str, tuple[int, ...]]
    cycles: float = 0


def roles(operation: Operation) -> dict[str, Tensor]:
    """Operands and results by name; a gated map that is its own residual counts once."""
    tensors = {name: getattr(operation, name) for name in ("source", "target", "residual", "addend", "gate", "sums")}
    if operation.gate is not None:
        del tensors["residual"]
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


@dataclass(frozen=True, kw_only=True)
class Part:
    """Cycles that a part of a band takes, about: its computation, its weights on the bus, its loads and its store."""

    computing: float
    weights: float
    loaded: float
    stored: float


@dataclass(frozen=True, kw_only=True)
class BandChoice:
    """The search for the bands of an operation with streamed operands.

    Parameters
    ----------
    operation
        The operation.
    streamed
        Streamed operands of the operation by name.
    taken
        Allocated words, as pairs of first word and end.
    words
        Number of words of the activation memory.
    params
        Parameters of the engine.
    loads
        Whether its source, if it is resident, is loaded beside it.
    """

    operation: Operation
    streamed: dict[str, Tensor]
    taken: Taken
    words: int
    params: EngineParams
    loads: bool = False

    def best(self) -> Bands | None:
        """Return the bands of fewest cycles, by a rough estimate; None if not even the smallest parts fit."""
        return min(self._fitting(), key=lambda bands: (bands.cycles, -bands.columns), default=None)

    def _fitting(self) -> Iterator[Bands]:
        """For strips of all widths, with one buffer or two: the highest bands that fit, and lower ones."""
        target = self.operation.target.storage
        unit = 2 if self.operation.upsample or self.params.lanes < self.params.bus_bytes else 1
        unit = lcm(unit, self.operation.across)
        alike = self.operation.addend is None or self.streamed.keys() >= {"source", "addend"}
        alike &= self.operation.sums is None  # they are of whole rows
        strips = STRIPS if alike else STRIPS[:1]  # both sources have rows of one length on chip
        widths = {balanced(target.columns, -(-target.columns // count), unit) for count in strips}
        for columns in sorted(widths, reverse=True):
            for copies in (2, 1):
                height = self._highest(columns, copies)
                for part in (1, 2, 4):
                    rows = self._rounded(height // part, columns) if height // part else 0
                    if rows and (buffers := self._place(rows, columns, copies)) is not None:
                        double = all(len(words) == 2 for words in buffers.values())
                        for heights in self._cut(rows, double=double):
                            cycles = self._cycles(heights, columns, double=double)
                            yield Bands(heights=heights, columns=columns, buffers=buffers, cycles=cycles)
                if height and columns == target.columns and copies == 2 and height >= target.rows:
                    return  # nothing is better than all of it

    def _highest(self, columns: int, copies: int) -> int:
        """Return the most rows of a band that fit; 0 if none does."""
        low, high = 0, self.operation.target.storage.rows
        while low < high:
            middle = (low + high + 1) // 2
            if self._place(self._rounded(middle, columns), columns, copies) is None:
                high = middle - 1
            else:
                low = middle
        return low

    def _rounded(self, rows: int, columns: int) -> int:
        """Rows of bands about as high, not higher unless they must be even: whole tiles if there is more than one."""
        target, unit = self.operation.target.storage, tile_rows(self.operation, columns, self.params)
        return balanced(target.rows, max(rows // unit * unit, 0), unit) if rows >= unit else self._low(rows)

    def _low(self, rows: int) -> int:
        unit = self.operation.grain
        return balanced(self.operation.target.storage.rows, max(unit, rows // unit * unit), unit)

    def _sizes(self, rows: int, columns: int) -> dict[str, int]:
        """Words that a part of every streamed operand takes at most."""
        words = {}
        for name, tensor in self.streamed.items():
            own = tensor.storage
            if name == "gate":
                words[name] = own.words
            elif name in ("source", "addend"):
                words[name] = self._source(rows, columns)
            else:
                words[name] = own.plane_words(rows, columns) * own.planes
        return words

    def _source(self, rows: int, columns: int) -> int:
        """Words of the source that a part needs at most."""
        source = self.operation.source.storage
        rows, columns = self.operation.most(rows, columns, self.params.bus_bytes)
        return source.plane_words(rows, columns) * source.planes

    def _place(self, rows: int, columns: int, copies: int) -> dict[str, tuple[int, ...]] | None:
        """Where the buffers are; None if they do not fit."""
        taken = list(self.taken)
        places: dict[str, tuple[int, ...]] = {}
        for name, size in sorted(self._sizes(rows, columns).items(), key=lambda item: -item[1]):
            for _ in range(copies):
                word = first_fit(taken, size, self.words)
                if word is None:
                    return None
                taken.append((word, word + size))
                places[name] = (*places.get(name, ()), word)
        return places

    def _cut(self, rows: int, *, double: bool) -> Iterator[tuple[int, ...]]:
        """Bands of so many rows, from the top; with two buffers also with a short first one and ever shorter last ones.

        Nothing runs beside the first band's load and the last band's store.
        """
        total, grain = self.operation.target.storage.rows, self.operation.grain
        yield _pieces(total, rows)
        for first in dict.fromkeys(_half(rows, grain, times) for times in range(3)) if double else ():
            heights = [first, *_pieces(total - first, rows)]
            for _ in range(TAPERS):
                yield tuple(heights)
                upper = _half(heights[-1], grain)
                if upper == heights[-1]:
                    break
                heights[-1:] = [upper, heights[-1] - upper]

    def _cycles(self, heights: tuple[int, ...], columns: int, *, double: bool) -> float:
        """Cycles of the operation: a part takes as long as its slowest unit, or with single buffers the sum of all.

        Beside a band's first part the last one of the band before is stored.
        """
        strips = -(-self.operation.target.storage.columns // columns)
        parts = {height: self._part(height, columns) for height in set(heights)}
        if not double:
            taken = sum(part.computing + part.loaded + part.stored for part in map(parts.__getitem__, heights))
            return strips * (taken + 2 * len(heights) * OVERHEAD)
        cycles = parts[heights[0]].loaded + strips * len(heights) * OVERHEAD
        stored = 0.0
        for part in map(parts.__getitem__, heights):
            alone = max(part.computing, part.loaded + part.weights)
            cycles += max(alone, stored) + (strips - 1) * max(alone, part.stored)
            stored = part.stored
        return cycles + stored

    def _part(self, height: int, columns: int) -> "Part":
        """Return what a part of a band takes."""
        operation, params, target = self.operation, self.params, self.operation.target.storage
        positions = operation.positions(min(height, target.rows), columns)
        tiling = operation.tiling(*positions, params)
        beats = operation.beats(tiling.tile_h, tiling.tile_w)
        tiles = tiling.tiles_x * tiling.tiles_y
        streams = operation.fetched * params.lanes * params.columns * STREAM_PART
        streams += (operation.kept - operation.fetched) * STEP_BYTES  # beside weights steps do not count
        weights = tiles * streams / params.bus_bytes
        computing = max(operation.computing(tiles * beats, tiles, params.columns), weights)
        computing = max(computing, operation.activating(tiling, params))
        sizes = self._sizes(height, columns)
        runs = {name: self._runs(tensor, height, columns) * RUN for name, tensor in self.streamed.items()}
        moves = {name: size * params.lanes / params.bus_bytes + runs[name] for name, size in sizes.items()}
        stored = moves.pop("target", 0)
        if self.loads and "source" not in moves:
            moves["source"] = self._source(height, columns) * params.lanes / params.bus_bytes
        loaded = sum(moves.values()) + (len(self.streamed) + 1) * DESCRIPTOR_BYTES / params.bus_bytes
        return Part(computing=computing, weights=weights, loaded=loaded, stored=stored)

    def _runs(self, tensor: Tensor, rows: int, columns: int) -> int:
        """Estimate the runs in which a part is moved."""
        storage = tensor.storage
        whole = columns >= self.operation.target.storage.columns and storage.row_words(columns) == columns
        return storage.planes * (1 if whole else rows)


def _pieces(rows: int, height: int) -> tuple[int, ...]:
    return tuple(min(height, rows - first) for first in range(0, rows, height))


def _half(height: int, grain: int, times: int = 1) -> int:
    """Cut a height in half so often, up to the next multiple of `grain`; not below one."""
    return min(height, max(grain, -(-height // (grain << times)) * grain))
