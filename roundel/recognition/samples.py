"""Samples of a grid: raw values of locations, what the tail makes of them, and which raw value moves which column."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from roundel.golden.nms import Floats
from roundel.golden.rounding import Ints
from roundel.recognition.locating import Arrays, Grid, Table, run
from roundel.recognition.tail import NotRecognised, Tail, TailModel

Maps = Sequence[NDArray[np.float32]]

ENOUGH = 60  # samples of a box
MOST_RUNS = 1000  # of the tail, for grids of few locations and many channels
REPEATS = 12  # of changes of each channel, at other locations
MOST_MOVES = 1 << 26  # of columns by channels
CALM = 0.7  # raw values that are changed lie within it
SPREAD = 1.3  # raw values of samples lie within it


@dataclass(frozen=True, eq=False)
class Group:
    """Tables of one grid and number of boxes, at the locations that all of them have.

    Attributes
    ----------
    grid
        Rows and columns.
    places
        x and y of the locations, (n, 2), row by row.
    tables
        Cut to these.
    owners
        The maps of the grid's channels and their channels, (channels, 2).
    """

    grid: Grid
    places: Ints
    tables: tuple[Table, ...]
    owners: Ints

    def values(self, tensors: Arrays) -> Floats:
        """Return the columns of all tables, (n, boxes, columns)."""
        return np.concatenate([table.values(tensors) for table in self.tables], axis=2)

    @property
    def width(self) -> int:
        """Columns of all tables."""
        return sum(int(table.index.shape[2]) for table in self.tables)

    def raw(self, tail: Tail, maps: Maps) -> Floats:
        """Return the raw values of all channels, (n, channels)."""
        x, y = self.places.T
        parts = [values[:, y, x].T for item, values in zip(tail.maps, maps, strict=True) if item.grid == self.grid]
        return np.concatenate(parts, axis=1).astype(np.float64)

    def change(self, maps: Maps, channels: Ints, steps: Floats) -> None:
        """Add a step to one channel at each location of the grid; both arguments are (rows, columns)."""
        places, inner = np.moveaxis(self.owners[channels], -1, 0)
        for place in np.unique(places):
            y, x = np.nonzero(places == place)
            maps[place][inner[y, x], y, x] += steps[y, x].astype(np.float32)


@dataclass(frozen=True, eq=False)
class Samples:
    """What is known of a group.

    Attributes
    ----------
    group
        The tables.
    columns
        Name of the tensor and place in its rows, of each column.
    places, raw, values
        Of each sample: x and y, (n, 2); raw values, (n, channels); columns of all boxes, (n, boxes, columns).
    borders
        Where a tail may cut boxes: at 0, 1, and the size of the image.
    moves
        How a change of one channel moved the columns, (changes of it, channels, boxes, columns).
    """

    group: Group
    columns: tuple[tuple[str, int], ...]
    places: Ints
    raw: Floats
    values: Floats
    borders: tuple[float, ...]
    moves: Floats

    @property
    def grid(self) -> Grid:
        """Rows and columns of the locations."""
        return self.group.grid

    @property
    def boxes(self) -> int:
        """Boxes of a location."""
        return int(self.values.shape[1])

    def tensor_columns(self, tensor: str) -> list[int]:
        """Return the columns of a tensor."""
        return [place for place, (name, _) in enumerate(self.columns) if name == tensor]


def draw_samples(tail: Tail, model: TailModel, groups: Sequence[Group], rng: np.random.Generator) -> list[Samples]:
    """Return the samples of every group.

    Parameters
    ----------
    tail, model
        The tail, and how it runs.
    groups
        Its tensors, as `groups_of` gives them.
    rng
        Source of raw values.
    """
    borders = borders_of(tail)
    drawn, moved = _drawn(tail, model, groups, rng), _moved(tail, model, groups, rng)
    made = []
    for group, runs, moves in zip(groups, drawn, moved, strict=True):
        raw, values = (np.concatenate(part) for part in zip(*runs, strict=True))
        columns = tuple((table.tensor, place) for table in group.tables for place in range(table.index.shape[2]))
        places = np.tile(group.places, (len(runs), 1))
        made.append(Samples(group, columns, places, raw, values, borders, moves))
    return made


def groups_of(tail: Tail, tables: Sequence[Table]) -> list[Group]:
    """Return tables in groups, one for each grid and number of boxes at a location."""
    by_key: dict[tuple[Grid, int], list[Table]] = {}
    for table in tables:
        by_key.setdefault((table.grid, table.boxes), []).append(table)
    made = []
    for (grid, _), group in by_key.items():
        numbers = [table.places @ (1, grid[1]) for table in group]
        shared = reduce(np.intersect1d, numbers)
        if not len(shared):
            continue
        cut = tuple(
            replace(table, places=table.places[keep], index=table.index[keep])
            for table, own in zip(group, numbers, strict=True)
            for keep in [np.isin(own, shared)]
        )
        owners = [
            (place, channel)
            for place, item in enumerate(tail.maps)
            if item.grid == grid
            for channel in range(item.shape[0])
        ]
        made.append(Group(grid, cut[0].places, cut, np.array(owners)))
    return made


def _drawn(
    tail: Tail, model: TailModel, groups: Sequence[Group], rng: np.random.Generator
) -> list[list[tuple[Floats, Floats]]]:
    """Return raw values and columns of random maps, run by run."""
    least = min((len(group.places) for group in groups), default=ENOUGH)
    found: list[list[tuple[Floats, Floats]]] = [[] for _ in groups]
    for _ in range(max(2, -(-ENOUGH // least))):
        maps = tail.drawn(rng, -SPREAD, SPREAD)
        tensors = run(model, maps)
        for place, group in enumerate(groups):
            found[place].append((group.raw(tail, maps), group.values(tensors)))
    return found


def _moved(tail: Tail, model: TailModel, groups: Sequence[Group], rng: np.random.Generator) -> list[Floats]:
    """Change one channel a location, another one at each, until every channel was changed `REPEATS` times.

    What lies at a border before or after is NaN: it says nothing.

    Raises
    ------
    NotRecognised
        More channels and columns than any detector has.
    """
    for g in groups:
        boxes = g.tables[0].boxes
        if REPEATS * len(g.owners) * boxes * g.width > MOST_MOVES:
            raise NotRecognised(
                f"{g.grid[0]} x {g.grid[1]} locations have {len(g.owners)} channels and {boxes} x {g.width} numbers "
                f"behind them, more than recognition compares ({MOST_MOVES // REPEATS} pairs)"
            )
    moved = [np.full((REPEATS, len(g.owners), g.tables[0].boxes, g.width), np.nan) for g in groups]
    given = [np.zeros(len(group.owners), np.int64) for group in groups]
    runs = max((-(-len(group.owners) * REPEATS // len(group.places)) for group in groups), default=0)
    for number in range(min(runs, MOST_RUNS)):
        maps = tail.drawn(rng, -CALM, CALM)
        changed = [values.copy() for values in maps]
        chosen: dict[Grid, Ints] = {}  # groups of one grid share the change of a location
        for group in groups:
            if group.grid not in chosen:
                count = group.grid[0] * group.grid[1]
                channels = (rng.permutation(count) + number * count) % len(group.owners)
                chosen[group.grid] = channels.reshape(group.grid)
                group.change(changed, chosen[group.grid], rng.uniform(0.4, 0.8, group.grid))
        before, after = run(model, maps), run(model, changed)
        for place, group in enumerate(groups):
            old, new = group.values(before), group.values(after)
            cut = np.isin(old, borders_of(tail)) | np.isin(new, borders_of(tail))
            with np.errstate(invalid="ignore"):  # an infinity less another is as little a step as what is cut
                steps = np.where(cut, np.nan, new - old)
            x, y = group.places.T
            for location, channel in enumerate(chosen[group.grid][y, x]):
                if given[place][channel] < REPEATS:
                    moved[place][given[place][channel], channel] = steps[location]
                    given[place][channel] += 1
    return moved


def borders_of(tail: Tail) -> tuple[float, ...]:
    """Return where a tail may cut boxes: at 0, 1, and the size of the image."""
    return (0.0, 1.0, *map(float, tail.image))
