"""Which maps stay on chip and where, and in which bands of rows the others pass through it.

A map is *resident* from what makes it to the last that reads it, or it is *streamed*: it lies in the outer memory, and
each operation that makes or reads it does so band by band through buffers of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from golden.errors import InputError
from roundel.compile_emit import Tiling, balanced
from roundel.compile_operation import Operation
from roundel.compile_tensor import Storage, Tensor

BANDS = 8  # of maps that are loaded or stored beside the computing, at most
STREAMED_BANDS = 4  # of streamed maps, at least, if their rows are enough


@dataclass(frozen=True, kw_only=True)
class Buffer:
    """Room for the rows of a streamed tensor that a band needs.

    Parameters
    ----------
    rows
        Of the tensor's map.
    words
        Where it is: one, or two that take turns.
    """

    rows: int
    words: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Bands:
    """How an operation passes through the memory.

    Parameters
    ----------
    rows
        Output rows of a band.
    buffers
        By operand: `source`, `residual`, `target`; those that are resident have none.
    """

    rows: int
    buffers: dict[str, Buffer] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Where everything is.

    Parameters
    ----------
    resident
        The first word of every resident storage.
    streamed
        The other storages.
    bands
        Of every operation.
    """

    resident: dict[Storage, int]
    streamed: set[Storage]
    bands: list[Bands]


@dataclass(kw_only=True)
class Planner:
    """Plans the activation memory.

    Parameters
    ----------
    operations
        In order.
    outer
        Storages that are stored anyway.
    source
        That of the input, which is loaded.
    words, depth
        Of the activation memory, and of the accumulator memory.
    pinned
        Storages that stay on chip to the end.
    """

    operations: Sequence[Operation]
    outer: set[Storage]
    source: Storage
    words: int
    depth: int
    pinned: set[Storage] = field(default_factory=set)
    streamed: set[Storage] = field(default_factory=set)
    lives: dict[Storage, tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self.lives = {}
        for index, operation in enumerate(self.operations):
            for tensor in (*operation.operands, operation.target):
                root = tensor.storage.root[0]
                self.lives[root] = self.lives.get(root, (index, index))[0], index
        for root in self.pinned:
            self.lives[root] = self.lives[root][0], len(self.operations)

    def plan(self) -> Plan:
        """The plan with as few streamed maps as a greedy choice finds.

        Raises
        ------
        InputError
            Not even single rows of a layer's maps fit.
        """
        while True:
            resident, failed = self._pack()
            if failed is not None:
                self._spill(self._beside(self.lives[failed]), failed.name)
                continue
            bands: list[Bands] = []
            for index in range(len(self.operations)):
                found = self._bands(index, resident)
                if found is None:
                    self._spill(self._beside((index, index)), self.operations[index].layer)
                    break
                bands.append(found)
            else:
                return Plan(resident=resident, streamed=self.streamed, bands=bands)

    def _beside(self, life: tuple[int, int]) -> list[Storage]:
        """Resident storages that live at the same time."""
        return [one for one, other in self.lives.items() if one not in self.streamed and _overlap(life, other)]

    def _spill(self, candidates: list[Storage], layer: str) -> None:
        """Stream the storage that costs least traffic for the room that it takes; of equal ones the greatest."""
        candidates = [one for one in candidates if one not in self.pinned]
        if not candidates:
            raise InputError(f"{layer}: the rows that it needs at once do not fit into {self.words} words on chip")
        self.streamed.add(min(candidates, key=lambda one: (self._traffic(one), -one.words, self.lives[one])))

    def _traffic(self, storage: Storage) -> int:
        """How often all of it moves more than if it stayed."""
        reads = sum(
            any(tensor.storage.root[0] is storage for tensor in operation.operands) for operation in self.operations
        )
        return reads - 1 if storage is self.source else reads + (storage not in self.outer)

    def _pack(self) -> tuple[dict[Storage, int], Storage | None]:
        """First fit, in the orders that tend to do best; or the storage that found no room."""
        residents = [one for one in self.lives if one not in self.streamed]
        failed: Storage | None = None
        by_size = sorted(residents, key=lambda one: (-one.words, self.lives[one]))
        by_life = sorted(residents, key=lambda one: (self.lives[one][0] - self.lives[one][1], -one.words))
        for order in (by_size, by_life, residents):
            places: dict[Storage, int] = {}
            for one in order:
                taken = [
                    (word, word + other.words)
                    for other, word in places.items()
                    if _overlap(self.lives[one], self.lives[other])
                ]
                word = _first_fit(taken, one.words, self.words)
                if word is None:
                    failed = failed or one
                    break
                places[one] = word
            else:
                return places, None
        return {}, failed

    def _bands(self, index: int, resident: dict[Storage, int]) -> Bands | None:
        """The bands of an operation; None if its buffers do not fit beside the resident maps."""
        operation = self.operations[index]
        target = operation.target.storage
        unit = tile_rows(operation, self.depth)
        roles = {name: one for name, one in _roles(operation).items() if one.storage.root[0] in self.streamed}
        if not roles:
            moves = target.root[0] in self.outer or self._loads(index)
            tiles = -(-target.rows // unit)
            return Bands(rows=unit * -(-tiles // BANDS) if moves else target.rows)
        taken = [
            (word, word + one.words) for one, word in resident.items() if _overlap(self.lives[one], (index, index))
        ]
        double = self._largest(operation, roles, taken, unit, 2)
        single = self._largest(operation, roles, taken, unit, 1)
        if double is not None and single is not None:
            return double if 2 * double.rows >= single.rows else single
        return double or single

    def _loads(self, index: int) -> bool:
        """Whether an operation is the first to read the input."""
        return self.lives.get(self.source, (-1, -1))[0] == index

    def _largest(
        self, operation: Operation, roles: dict[str, Tensor], taken: list[tuple[int, int]], unit: int, copies: int
    ) -> Bands | None:
        """The greatest bands that fit."""
        rows, even = operation.target.storage.rows, 2 if operation.upsample else 1
        most = max(unit, rows // STREAMED_BANDS // unit * unit)
        for height in (*range(most, unit, -unit), *range(unit, 0, -even)):
            step = unit if height > unit else even
            height = balanced(rows, height, step)
            buffers = _place(_needs(operation, roles, height), taken, self.words, copies)
            if buffers is not None:
                return Bands(rows=height, buffers=buffers)
        return None


def tile_rows(operation: Operation, depth: int) -> int:
    """Rows of a tile when all of the map is computed at once."""
    target = operation.target.storage
    return Tiling.of(target.rows, target.columns, depth, even=operation.upsample).tile_h


def cut(rows: int, band: int) -> Iterable[tuple[int, int]]:
    """Bands of `band` rows: first row, and row behind the last."""
    return [(first, min(first + band, rows)) for first in range(0, rows, band)]


def _roles(operation: Operation) -> dict[str, Tensor]:
    roles = {"source": operation.source, "target": operation.target}
    return roles if operation.residual is None else roles | {"residual": operation.residual}


def _needs(operation: Operation, roles: dict[str, Tensor], height: int) -> dict[str, tuple[int, int]]:
    """Rows and words of the buffers of bands of that many output rows."""
    found = {}
    for name, tensor in roles.items():
        rows = height
        if name == "source":
            bands = [operation.rows_of(*band) for band in cut(operation.target.storage.rows, height)]
            rows = max(last - first for first, last in bands)
        storage = tensor.storage
        found[name] = rows, rows * storage.row_words * storage.planes
    return found


def _place(
    needs: dict[str, tuple[int, int]], taken: list[tuple[int, int]], words: int, copies: int
) -> dict[str, Buffer] | None:
    """Buffers in what is not taken; None if they do not fit."""
    taken, places = list(taken), {name: [] for name in needs}  # type: ignore[var-annotated]
    for name, (_, size) in sorted(needs.items(), key=lambda item: -item[1][1]):
        for _ in range(copies):
            word = _first_fit(taken, size, words)
            if word is None:
                return None
            taken.append((word, word + size))
            places[name].append(word)
    return {name: Buffer(rows=needs[name][0], words=tuple(at)) for name, at in places.items()}


def _first_fit(taken: list[tuple[int, int]], size: int, words: int) -> int | None:
    """The lowest place for `size` words that are not taken."""
    at = 0
    for start, stop in sorted(taken):
        if start - at >= size:
            break
        at = max(at, stop)
    return at if at + size <= words else None


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]
