"""Planning: the allocation of resident maps in the activation memory, and the tiling of streamed maps.

A map is *resident*, on chip for its whole live range, or *streamed*: it lies in the outer memory, and each operation
that writes or reads it does so band by band, through buffers of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from roundel.compiler.operation import Operation
from roundel.compiler.planning.bands import BandChoice, Bands, roles
from roundel.compiler.planning.packing import overlap, pack, peak
from roundel.compiler.planning.streaming import Pipeline
from roundel.compiler.refusal import EngineError, more_memory
from roundel.compiler.tensor import Storage
from roundel.golden.engine import EngineParams

GAIN = 0.999  # of a plan's cycles: less is no reason to change it


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The allocation of the activation memory.

    Parameters
    ----------
    resident
        First word of every resident storage.
    streamed
        The other storages.
    bands
        Bands of every operation.
    """

    resident: dict[Storage, int]
    streamed: frozenset[Storage]
    bands: list[Bands]

    @property
    def cycles(self) -> float:
        """Cycles of all operations, a rough estimate."""
        return sum(bands.cycles for bands in self.bands)


@dataclass(kw_only=True)
class Planner:
    """Plans the activation memory.

    Parameters
    ----------
    operations
        Operations in the order of the program.
    outer
        Storages that are stored in any case.
    source
        Storage of the input, which is loaded.
    words
        Number of words of the activation memory that may be used.
    params
        Parameters of the engine.
    pinned
        Storages that stay on chip to the end.

    Attributes
    ----------
    lives
        The first and the last operation of each storage.
    sums
        Storages that are never streamed.
    """

    operations: Sequence[Operation]
    outer: set[Storage]
    source: Storage
    words: int
    params: EngineParams
    pinned: set[Storage] = field(default_factory=set)
    lives: dict[Storage, tuple[int, int]] = field(init=False)
    sums: set[Storage] = field(init=False)
    _known: dict[tuple[object, ...], Bands | None] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.lives = {}
        self.sums = {operation.sums.storage.root[0] for operation in self.operations if operation.sums is not None}
        for index, operation in enumerate(self.operations):
            for tensor in (*operation.operands, operation.target, *([operation.sums] if operation.sums else [])):
                root = tensor.storage.root[0]
                self.lives[root] = self.lives.get(root, (index, index))[0], index
        for root in self.pinned:
            self.lives[root] = self.lives[root][0], len(self.operations)

    def plan(self) -> Plan:
        """Return a plan with few streamed maps: the cheapest until all fits, some back on chip where that is faster.

        Raises
        ------
        InputError
            Not even the smallest parts of a layer's maps fit.
        """
        return self._better(self._fitting(frozenset()))

    def _fitting(self, streamed: frozenset[Storage], kept: frozenset[Storage] = frozenset()) -> Plan:
        """Return a plan with these storages streamed, and as many more as it takes, but for `kept`, the cheapest first.

        Raises
        ------
        InputError
            It takes one that cannot be streamed.
        """
        attempt = self._attempt(streamed)
        while not isinstance(attempt, Plan):
            streamed |= {self._cheapest(streamed, attempt, kept)}
            attempt = self._attempt(streamed)
        return attempt

    def _better(self, best: Plan) -> Plan:
        """Return the plan, or a faster one in which other maps are streamed."""

        def by_traffic(storage: Storage) -> tuple[float, tuple[int, int], str]:
            return -self._traffic(storage) * storage.words, self.lives[storage], storage.name

        for storage in sorted(self.lives, key=by_traffic):
            if storage in self.pinned | self.sums or (storage in best.streamed and self._traffic(storage) <= 0):
                continue
            if storage not in best.streamed and not self._beside_streamed(storage, best.streamed):
                continue
            other = self._changed(best.streamed, storage)
            if other is not None and other.cycles < best.cycles * GAIN:
                best = other
        return best

    def _beside_streamed(self, storage: Storage, streamed: frozenset[Storage]) -> bool:
        """Whether a map is streamed within the live range of a storage, which then takes room from its buffers."""
        return any(overlap(self.lives[storage], self.lives[other]) for other in streamed)

    def _changed(self, streamed: frozenset[Storage], storage: Storage) -> Plan | None:
        """Return a plan in which a storage is streamed in addition, or on chip, others in its place if need be."""
        try:
            return self._fitting(streamed ^ {storage}, frozenset({storage}) & streamed)
        except EngineError:
            return None

    def _cheapest(self, streamed: frozenset[Storage], index: int, kept: frozenset[Storage]) -> Storage:
        """Return the storage on chip at an operation that costs least traffic when streamed; of equals the greatest."""
        fixed = self.pinned | self.sums | kept
        living = [storage for storage in self._living(streamed, index) if storage not in fixed]
        if not living:
            layer = self.operations[min(index, len(self.operations) - 1)].layer
            what = f"what it needs at once does not fit into {self.words} words on chip"
            raise EngineError(f"{layer}: {what}", more_memory(self.params))
        return min(
            living, key=lambda storage: (self._traffic(storage), -storage.words, self.lives[storage], storage.name)
        )

    def _living(self, streamed: frozenset[Storage], index: int) -> list[Storage]:
        """Storages on chip at an operation."""
        return [
            storage for storage, life in self.lives.items() if storage not in streamed and overlap(life, (index, index))
        ]

    def _traffic(self, storage: Storage) -> int:
        """Return the number of additional transfers of a storage if it is streamed instead of resident."""
        reads = sum(
            any(tensor.storage.root[0] is storage for tensor in operation.operands) for operation in self.operations
        )
        return reads - 1 if storage is self.source else reads + (storage not in self.outer)

    def _attempt(self, streamed: frozenset[Storage]) -> Plan | int:
        """Return the plan with these storages streamed, or the number of an operation at which not all fits."""
        lives = {storage: life for storage, life in self.lives.items() if storage not in streamed}
        resident = pack(lives, self.words)
        if resident is None:
            return peak(lives)[0]
        bands = []
        for index in range(len(self.operations)):
            chosen = self._bands(index, resident, streamed)
            if chosen is None:
                return index
            bands.append(chosen)
        return Plan(resident=resident, streamed=streamed, bands=bands)

    def _bands(self, index: int, resident: dict[Storage, int], streamed: frozenset[Storage]) -> Bands | None:
        """Return the bands of an operation; None if its buffers do not fit beside the resident maps."""
        operation = self.operations[index]
        moving = {name: tensor for name, tensor in roles(operation).items() if tensor.storage.root[0] in streamed}
        taken = tuple((resident[root], resident[root] + root.words) for root in self._living(streamed, index))
        key = (index, tuple(moving), taken)
        if key not in self._known:
            choice = BandChoice(
                operation=operation,
                streamed=moving,
                taken=taken,
                words=self.words,
                params=self.params,
                loads=self._loads(index),
            )
            self._known[key] = choice.best() if moving else self._on_chip(index)
        return self._known[key]

    def _loads(self, index: int) -> bool:
        """Whether the resident input is loaded beside an operation."""
        return self.lives.get(self.source, (-1,))[0] == index

    def _on_chip(self, index: int) -> Bands:
        """Return the bands of an operation of which nothing is streamed."""
        operation = self.operations[index]
        heights, cycles = Pipeline(
            operation=operation,
            loads=self._loads(index),
            stores=operation.target.storage.root[0] in self.outer,
            params=self.params,
        ).best()
        return Bands(heights=heights, columns=operation.target.storage.columns, buffers={}, cycles=cycles)
