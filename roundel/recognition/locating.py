"""Which location each element of a tensor belongs to, found by changing the maps bit by bit of the locations' numbers.

Two draws of the maps differ everywhere. Where bit k of a location's number is 1 the second one is taken, in another run
where it is 0: an element that changes in one of both tells bit k of its location. So a tensor of any order and layout
is resolved in two runs a bit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roundel.golden.rounding import Ints
from roundel.recognition.tail import Tail, TailModel

Arrays = Mapping[str, NDArray[np.float64]]
Grid = tuple[int, int]

CONSTANT, MIXED = -1, -2
LOW, HIGH = 0.1, 1.2  # of raw values: above 0, so that little hides behind ReLU
MOST_ELEMENTS = 1 << 24


@dataclass(frozen=True, eq=False)
class Table:
    """Elements of one tensor at the locations of one grid.

    Attributes
    ----------
    tensor
        Its name.
    grid
        Rows and columns of the locations.
    places
        Locations, (n, 2) of x and y.
    index
        Flat places of the elements in the tensor, (n, boxes of a location, columns).
    """

    tensor: str
    grid: Grid
    places: Ints
    index: Ints

    @property
    def boxes(self) -> int:
        """Boxes of a location."""
        return int(self.index.shape[1])

    def values(self, tensors: Arrays) -> NDArray[np.float64]:
        """Return its values, (n, boxes of a location, columns)."""
        return tensors[self.tensor].ravel()[self.index]


def grids_of(tail: Tail) -> list[Grid]:
    """Return the grids of a tail, the largest first."""
    return sorted({item.grid for item in tail.maps}, key=lambda grid: -grid[0] * grid[1])


def run(model: TailModel, maps: Sequence[NDArray[np.float32]]) -> Arrays:
    """Return what a tail gives, tensors of real numbers alone, in double precision."""
    tensors = model.run(maps)
    return {
        name: np.asarray(values, np.float64)
        for name, values in tensors.items()
        if values.dtype.kind == "f" and values.size <= MOST_ELEMENTS
    }


def locate(tail: Tail, model: TailModel, rng: np.random.Generator) -> dict[str, Ints]:
    """Return the number of the location that each element belongs to, by tensor; `CONSTANT` or `MIXED` for others.

    Locations are numbered grid by grid (`grids_of`), row by row. Tensors with a `MIXED` element are not looked at
    further: their other numbers mean nothing.
    """
    numbers: dict[Grid, Ints] = {}
    count = 0
    for grid in grids_of(tail):
        numbers[grid] = count + np.arange(grid[0] * grid[1]).reshape(grid)
        count += grid[0] * grid[1]
    first, second = tail.drawn(rng, LOW, HIGH), tail.drawn(rng, LOW, HIGH)
    base = run(model, first)
    found = {name: np.zeros(values.shape, np.int64) for name, values in base.items()}
    odd = {name: np.zeros(values.shape, bool) for name, values in base.items()}
    blank = {name: np.zeros(values.shape, bool) for name, values in base.items()}
    for bit in range(max(1, (count - 1).bit_length())):
        left = [name for name in base if not odd[name].any()]  # one odd element, and `tables` takes none of it
        if not left:
            break
        changed = []
        for wanted in (1, 0):
            masks = [(numbers[item.grid] >> bit & 1) == wanted for item in tail.maps]
            mixed = [np.where(mask, b, a) for mask, a, b in zip(masks, first, second, strict=True)]
            values = run(model, mixed)
            changed.append({name: values[name] != base[name] for name in left if name in values})
        for name in left:
            ones, zeros = (part.get(name, odd[name]) for part in changed)
            if ones.shape != found[name].shape:
                odd[name][...] = True
                continue
            found[name] |= ones.astype(np.int64) << bit
            odd[name] |= ones & zeros
            blank[name] |= ~ones & ~zeros
    for name, places in found.items():
        places[blank[name]] = CONSTANT
        places[odd[name]] = MIXED
    return found


def tables(tail: Tail, located: Mapping[str, Ints]) -> list[Table]:
    """Return the tables of all tensors whose elements lie location by location in rows."""
    made = []
    for name, numbers in located.items():
        rows = _rows(numbers)
        if rows is None:
            continue
        index, owners = rows
        start = 0
        for grid in grids_of(tail):
            stop = start + grid[0] * grid[1]
            if (table := _table(name, grid, index, owners, start, stop)) is not None:
                made.append(table)
            start = stop
    return made


def _rows(numbers: Ints) -> tuple[Ints, Ints] | None:
    """Return the places of a tensor as rows and columns, and the location of each row; None where there is none."""
    if (numbers == MIXED).any() or not (numbers >= 0).any():
        return None
    flat: Ints = np.arange(numbers.size).reshape(numbers.shape)
    along = [axis for axis in range(numbers.ndim) if numbers.shape[axis] > 1 and _same_along(numbers, axis)]
    if along:
        flat, numbers = np.moveaxis(flat, along[-1], -1), np.moveaxis(numbers, along[-1], -1)
    else:
        flat, numbers = flat[..., None], numbers[..., None]
    width = list(flat.shape)[-1]
    return flat.reshape(-1, width), numbers.reshape(-1, width).max(axis=-1)


def _same_along(numbers: Ints, axis: int) -> bool:
    """Whether elements along an axis belong to one location, constants left out."""
    highest = numbers.max(axis=axis)
    lowest = np.where(numbers < 0, np.iinfo(np.int64).max, numbers).min(axis=axis)
    return bool(((highest == lowest) | (highest < 0)).all())


def _table(name: str, grid: Grid, index: Ints, owners: Ints, start: int, stop: int) -> Table | None:
    """Return the table of a tensor for one grid: of the locations that have as many rows as most have."""
    chosen = np.flatnonzero((owners >= start) & (owners < stop))
    if not len(chosen):
        return None
    chosen = chosen[np.argsort(owners[chosen], kind="stable")]
    numbers, counts = np.unique(owners[chosen], return_counts=True)
    boxes = int(np.bincount(counts).argmax())
    full = numbers[counts == boxes]
    rows = chosen[np.isin(owners[chosen], full)].reshape(len(full), boxes)
    y, x = np.divmod(full - start, grid[1])
    return Table(name, grid, np.stack([x, y], axis=1), index[rows])
