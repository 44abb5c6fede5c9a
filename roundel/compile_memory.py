"""Which maps stay on chip and where, and in which bands of rows the others pass through it.

A map is *resident* from what makes it to the last that reads it, or it is *streamed*: it lies in the outer memory, and
each operation that makes or reads it does so band by band through buffers of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from golden.engine_params import EngineParams
from golden.errors import InputError
from roundel.compile_bands import Bands, Choice, first_fit, on_chip, roles
from roundel.compile_operation import Operation
from roundel.compile_tensor import Storage


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
    words
        Of the activation memory that may be used.
    params
        The engine's.
    pinned
        Storages that stay on chip to the end.
    """

    operations: Sequence[Operation]
    outer: set[Storage]
    source: Storage
    words: int
    params: EngineParams
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
            Not even the smallest parts of a layer's maps fit.
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
            raise InputError(f"{layer}: what it needs at once does not fit into {self.words} words on chip")
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
                word = first_fit(taken, one.words, self.words)
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
        streamed = {name: one for name, one in roles(operation).items() if one.storage.root[0] in self.streamed}
        if not streamed:
            moves = operation.target.storage.root[0] in self.outer or self.lives.get(self.source, (-1,))[0] == index
            return on_chip(operation, self.params.depth, moves=moves)
        living = self._beside((index, index))
        taken = [(word, word + one.words) for one, word in resident.items() if one in living]
        return Choice(operation=operation, streamed=streamed, taken=taken, words=self.words, params=self.params).best()


def _overlap(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]
